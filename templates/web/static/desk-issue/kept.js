// Words that are not saved yet, in the browser's own store: they outlast a closed page, a lost connection, and a session
// that has ended. They are taken out as soon as they are saved, and when somebody logs out.

import * as fields from "./fields.js";
import { byId, me, path } from "./page.js";

const PLACE = `desk ${me} ${path}`;

export function keep() {
  const words = fields.unsaved().map((field) => [field.name, { value: field.value, was: fields.markOf(field) }]);
  const lost = Object.entries(found()).filter(([name]) => !byId(name));
  const all = [...lost, ...words];
  try {
    if (all.length) localStorage.setItem(PLACE, JSON.stringify(Object.fromEntries(all)));
    else localStorage.removeItem(PLACE);
  } catch {
    // Without a store the words are on the page alone, which asks before it is left.
  }
}

// Puts kept words back into their fields; says how many, and gives back those whose field is gone.
export function bringBack() {
  const words = Object.entries(found());
  const missing = words.filter(([name, { value }]) => byId(name) && byId(name).value !== value);
  for (const [name, { value, was }] of missing) fields.restore(byId(name), value, was);
  return { count: missing.length, lost: words.filter(([name]) => !byId(name)).map(([, { value }]) => value) };
}

export function forget() {
  try {
    for (const name of Object.keys(localStorage)) if (name.startsWith("desk ")) localStorage.removeItem(name);
  } catch {
    // There is nothing to forget then.
  }
}

function found() {
  try {
    return JSON.parse(localStorage.getItem(PLACE) ?? "{}");
  } catch {
    return {};
  }
}

// What is typed on the page: which fields say something else than what is saved.
//
// Each field has a companion, `was-<name>`, with the mark of the text that it showed. By it the server sees whether
// somebody else has written there meanwhile; so it is never renewed under words that are not saved.

import { byId, form } from "./page.js";

const saved = new WeakMap();
const trouble = new WeakMap();

export const CLASH = "clash";
export const isClashing = (field) => trouble.get(field) === CLASH;
// Where the server offers to keep one's own words, somebody else has written there too.
export const isOffered = (field) => Boolean(byId(`stands-${field.name}`)?.querySelector("[data-choose=mine]"));

const was = (field) => byId(`was-${field.name}`);
const tidy = (text) => text.trim().replace(/[^\S\n]+/g, " ");

export function all() {
  const found = form().querySelectorAll("textarea[name], select[name], input[name]:not([type=hidden])");
  return Array.from(found).filter(was);
}

function standing(field) {
  if (saved.has(field)) return saved.get(field);
  if (field.matches("select")) return Array.from(field.options).find((option) => option.defaultSelected)?.value ?? "";
  return field.defaultValue;
}

export const isUnsaved = (field) => field.value !== standing(field);
export const unsaved = () => all().filter(isUnsaved);
// What a save takes along: not what was refused as it stands, and not what clashes with somebody else's words.
export const ready = () => unsaved().filter((field) => !trouble.has(field));
export const troubled = () => unsaved().filter((field) => trouble.has(field));
export const markOf = (field) => was(field).value;

export function restore(field, value, mark) {
  field.value = value;
  was(field).value = mark;
}

export function setTrouble(field, reason) {
  if (reason) trouble.set(field, reason);
  else trouble.delete(field);
  field.toggleAttribute("data-live-trouble", Boolean(reason));
  const box = field.closest(".field");
  box?.querySelector(".trouble")?.remove();
  if (!reason) byId(`stands-${field.name}`)?.remove();
  if (!reason || !box || reason === CLASH) return;
  const line = document.createElement("p");
  line.className = "trouble";
  line.id = `trouble-${field.name}`;
  line.textContent = reason;
  line.toggleAttribute("data-still", true);
  box.append(line);
}

// The editor has chosen between two texts; `mark` is of the one that stands.
export function chosen(field, mark, value) {
  was(field).value = mark;
  setTrouble(field, "");
  if (value !== undefined) {
    field.value = value;
    saved.set(field, value);
  }
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

// After a save: `fresh` is the page as it then was, whose marks are of what we have just sent.
export function settle(sent, fresh) {
  for (const [field, value] of sent) {
    saved.set(field, value);
    setTrouble(field, "");
    const mark = fresh.querySelector(`#${CSS.escape(`was-${field.name}`)}`);
    if (mark) was(field).value = mark.value;
  }
}

// For `morph`: whose words stay as they are, and what is not taken away for the sake of them.
export const ward = {
  holds(element) {
    const name = element.id.startsWith("was-") ? element.id.slice(4) : element.name;
    const field = name && element.matches("input, textarea, select") ? byId(name) : null;
    return Boolean(field && was(field) && isUnsaved(field));
  },
  stays(element) {
    if (element.matches(".trouble")) return true;
    // Both texts stay in sight until the editor has chosen, whatever else comes in meanwhile.
    if (element.matches(".stands")) return trouble.has(byId(element.id.slice("stands-".length)));
    return Array.from(element.querySelectorAll("textarea, input")).some((field) => this.holds(field));
  },
  renew(field, fresh) {
    if (field.type === "hidden" || !was(field)) return;
    const value = fresh.matches("select") ? fresh.value : fresh.defaultValue;
    const isBusy = field === document.activeElement && tidy(field.value) === tidy(value);
    if (!isBusy && field.value !== value) field.value = value;
    saved.set(field, field.value);
  },
};

// The keyboard shortcuts, and the sheet that lists them: both are made of the one list below, so the sheet is true.

import { byId, form, isStill, path, root, say, stories, tell } from "./page.js";
import * as save from "./save.js";

const OFF = "desk single keys off";
const SOON = 1200;
let current = null;
let orphan = null;

function here() {
  return document.activeElement?.closest?.(".story") ?? (current?.isConnected ? current : null);
}

function visible() {
  return stories().filter((story) => story.offsetParent !== null);
}

function go(by) {
  const all = visible();
  const at = all.indexOf(here());
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)];
  if (!next) return;
  current = next;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "center", behavior: isStill ? "instant" : "smooth" });
}

function press(id) {
  const button = byId(id);
  if (button && !button.disabled) form().requestSubmit(button);
  return Boolean(button);
}
const inStory = (find) => () => {
  const story = here() ?? visible()[0];
  if (story) find(story);
};
const link = (address) => document.querySelector(`.rooms a[href="${address}"]`);

function edit(story) {
  const field = story.querySelector("textarea");
  field?.focus();
  field?.setSelectionRange(field.value.length, field.value.length);
}

function carry(story) {
  const handle = story.querySelector(".handle");
  if (!handle) return tell("A story that is left out is put in first.");
  handle.focus();
  say("Move it with the arrows. Enter keeps it there, Escape puts it back.");
}

// A story that is left out is folded away: the next one takes its place under the hand.
function turnOver(story) {
  const all = visible();
  const next = all[all.indexOf(story) + 1] ?? all.at(-2);
  if (press(`in-${story.dataset.item}`)) return;
  press(`out-${story.dataset.item}`);
  orphan = { story, next };
}

const canEdit = () => Boolean(byId("save-all"));
const SHORTCUTS = [
  { keys: ["j"], what: "Next story", run: () => go(1) },
  { keys: ["k"], what: "Story before", run: () => go(-1) },
  { keys: ["e"], what: "Edit the story", run: inStory(edit), when: canEdit },
  { keys: ["m"], what: "Move it, then with the arrows", run: inStory(carry), when: canEdit },
  { keys: ["x"], what: "Leave it out, or put it in", run: inStory(turnOver), when: canEdit },
  { keys: ["a"], what: "Add a story by its link", run: () => byId("link").focus(), when: () => canEdit() && Boolean(byId("link")) },
  { keys: ["u"], what: "Undo", run: () => press("undo"), when: () => Boolean(byId("undo")) },
  { keys: ["r"], what: "Do again what was undone", run: () => press("redo"), when: () => Boolean(byId("redo")) },
  { keys: ["s"], what: "Save now", run: () => press("save-all"), when: canEdit },
  { keys: ["p"], what: "The preview in all its looks", run: () => location.assign(`${path}/preview`) },
  { keys: ["h"], what: "The history of this issue", run: () => location.assign(`${path}/history`) },
  { keys: ["/"], what: "Search", run: () => link("/desk/search").click(), when: () => Boolean(link("/desk/search")) },
  { keys: ["g", "i"], what: "All issues", run: () => link("/desk").click(), when: () => Boolean(link("/desk")) },
  { keys: ["g", "c"], what: "The calendar", run: () => link("/desk/calendar").click(), when: () => Boolean(link("/desk/calendar")) },
  { keys: ["?"], what: "This sheet", run: () => open() },
];
// These hold in fields too, and cannot be turned off: they are the browser's own words for the same.
const WITH_CONTROL = [
  { keys: ["Ctrl", "S"], what: "Save now, wherever you are", when: canEdit },
  { keys: ["Ctrl", "Z"], what: "Undo, outside of fields", when: () => Boolean(byId("undo")) },
  { keys: ["Ctrl", "Shift", "Z"], what: "Do again, outside of fields", when: () => Boolean(byId("redo")) },
  { keys: ["Esc"], what: "Leave a field; put back what is being moved" },
];
const holds = ({ when }) => !when || when();

function isOff() {
  try {
    return localStorage.getItem(OFF) !== null;
  } catch {
    return false;
  }
}

function turn(isOn) {
  try {
    if (isOn) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "");
  } catch {
    // Without a store it holds for this page alone, which cannot be helped.
  }
}

const sheet = document.createElement("dialog");
sheet.className = "keys";
sheet.setAttribute("aria-labelledby", "keys-title");

function table(shortcuts) {
  const list = document.createElement("dl");
  for (const { keys, what } of shortcuts.filter(holds)) {
    const row = list.appendChild(document.createElement("div"));
    const name = row.appendChild(document.createElement("dt"));
    keys.forEach((key, place) => {
      if (place) name.append(" ");
      name.appendChild(document.createElement("kbd")).textContent = key;
    });
    row.appendChild(document.createElement("dd")).textContent = what;
  }
  return list;
}

function open() {
  const title = Object.assign(document.createElement("h2"), { id: "keys-title", textContent: "Keys" });
  const label = document.createElement("label");
  const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: !isOff() });
  box.addEventListener("change", () => turn(box.checked));
  label.append(box, " Single keys work, outside of fields");
  const close = Object.assign(document.createElement("button"), { type: "button", textContent: "Close", className: "primary" });
  close.addEventListener("click", () => sheet.close());
  sheet.replaceChildren(title, table(SHORTCUTS), table(WITH_CONTROL), label, close);
  sheet.showModal();
  close.focus();
}

const isField = (element) => element.matches?.("input:not([type=checkbox]), textarea, select, [contenteditable]");

let begun = null;

function single(event) {
  if (isOff() && event.key !== "?") return;
  const since = begun && performance.now() - begun.at < SOON ? begun.key : null;
  const found = SHORTCUTS.filter(holds).find(({ keys }) => (since ? keys.length === 2 && keys[0] === since && keys[1] === event.key : keys.length === 1 && keys[0] === event.key));
  begun = null;
  if (found) {
    event.preventDefault();
    found.run();
  } else if (!since && SHORTCUTS.filter(holds).some(({ keys }) => keys.length === 2 && keys[0] === event.key)) {
    begun = { key: event.key, at: performance.now() };
  }
}

function withControl(event) {
  const key = event.key.toLowerCase();
  if (key === "s" && canEdit()) {
    event.preventDefault();
    press("save-all");
  } else if (key === "z" && !isField(event.target)) {
    const id = event.shiftKey ? "redo" : "undo";
    if (!byId(id)) return;
    event.preventDefault();
    press(id);
  }
}

export function listen() {
  document.body.append(sheet);
  save.onFresh(() => {
    if (!orphan?.story.matches(".out")) return;
    const focused = document.activeElement;
    if (focused === document.body || orphan.story.contains(focused)) orphan.next?.focus();
    orphan = null;
  });
  root.addEventListener("click", (event) => {
    if (event.target.closest("#show-keys")) open();
  });
  root.addEventListener("focusin", (event) => {
    current = event.target.closest(".story") ?? current;
  });
  document.addEventListener("keydown", (event) => {
    if (sheet.open || event.defaultPrevented || event.isComposing) return;
    if (event.ctrlKey || event.metaKey) {
      if (!event.altKey) withControl(event);
    } else if (event.key === "Escape" && isField(event.target) && event.target.closest("#issue")) {
      const story = event.target.closest(".story");
      event.target.blur();
      story?.focus({ preventScroll: true });
    } else if (!event.altKey && !isField(event.target)) {
      single(event);
    }
  });
}

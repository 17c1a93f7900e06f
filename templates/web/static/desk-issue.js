// The issue page. It works without this; with it, every change is saved as it is made and nothing has to be loaded anew.

import * as arrange from "./desk-issue/arrange.js";
import * as drag from "./desk-issue/drag.js";
import * as fields from "./desk-issue/fields.js";
import * as keys from "./desk-issue/keys.js";
import { bringBack, forget } from "./desk-issue/kept.js";
import { byId, form, path, root, say } from "./desk-issue/page.js";
import * as preview from "./desk-issue/preview.js";
import * as save from "./desk-issue/save.js";
import * as words from "./desk-issue/words.js";
import * as watch from "./desk-issue/watch.js";

let isLeaving = false;

root.addEventListener("input", (event) => {
  const field = event.target;
  words.follow(field);
  if (!fields.all().includes(field)) return;
  // What was refused as it stood is tried again when it stands differently; a clash waits for the editor's choice.
  if (!fields.isClashing(field)) fields.setTrouble(field, "");
  save.soon();
});
root.addEventListener("change", (event) => {
  if (fields.all().includes(event.target)) save.now();
});
root.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing) return;
  // One paragraph each: Enter means that it is done.
  if (event.target.matches(".in-place textarea")) {
    event.preventDefault();
    save.now();
  } else if (event.target.id === "link") {
    event.preventDefault();
    form().requestSubmit(byId("add"));
  }
});

root.addEventListener("submit", async (event) => {
  const button = event.submitter;
  if (isLeaving) return;
  event.preventDefault();
  if (!button || button.id === "save-all" || button.matches("[aria-hidden]")) {
    if ((await save.now()) && !byId("word").textContent.startsWith("Saved.")) say("Saved.", "good");
  } else if (button.hasAttribute("data-live")) {
    await press(button);
  } else {
    // A step of the whole issue is taken by loading the page anew, when all that was typed is saved.
    await save.now();
    await save.settled();
    // While a form's submit event is on its way, it cannot be submitted once more.
    await new Promise((resolve) => { setTimeout(resolve); });
    isLeaving = true;
    form().requestSubmit(button.isConnected ? button : root.querySelector(`[formaction="${button.getAttribute("formaction")}"]`));
  }
});

async function press(button) {
  const step = new URL(button.formAction).pathname.slice(path.length + 1);
  const extra = button.id === "add" ? { link: byId("link").value } : {};
  if (button.id === "add") say("Fetching the story…", "busy");
  const isDone = await save.act(step, extra);
  if (isDone && button.id === "add") byId("link").value = "";
}

root.addEventListener("click", (event) => {
  const choice = event.target.dataset?.choose;
  if (choice) choose(event.target.closest(".stands"), choice);
  if (event.target.id === "again") save.tryAgain();
});

function choose(stands, choice) {
  const field = byId(stands.id.slice("stands-".length));
  fields.chosen(field, stands.dataset.was, choice === "theirs" ? stands.dataset.text : undefined);
  field.focus();
  save.now();
}

addEventListener("pageshow", () => { isLeaving = false; });
addEventListener("beforeunload", (event) => {
  if (isLeaving || !fields.unsaved().length) return;
  save.onLeaving();
  if (save.isFailing() || fields.troubled().length) event.preventDefault();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden && !isLeaving) save.now();
});
for (const name of ["online", "focus"]) addEventListener(name, () => { if (save.isFailing()) save.tryAgain(); });
document.querySelector(".who")?.addEventListener("submit", forget);

const { count, lost } = bringBack();
words.start(lost);
if (count) say("Words that were not saved the last time are back in their fields.");
// These, and what somebody has typed before this script was there.
save.now();
arrange.listenToKeys();
drag.listenToPointers();
keys.listen();
preview.watch();
watch.watch();
document.documentElement.classList.add("scripted");

// The mail beside the stories. Its frame runs nothing and cannot be looked into, so the page cannot ask where it stands:
// after a change it is loaded out of sight, at the story that was worked on, and takes the other's place when it is there.

import { byId, root } from "./page.js";
import { onFresh } from "./save.js";

const stage = byId("stage");
let look = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
let shown = stage.querySelector("iframe");
let coming = null;
let story = "";

const isSeen = () => stage.offsetParent !== null;
const address = () => `${stage.dataset.src}?look=${look}`;

function load() {
  if (!isSeen()) return;
  coming?.remove();
  const frame = shown.cloneNode();
  coming = frame;
  frame.loading = "eager";
  frame.src = `${address()}${story && `#${story}`}`;
  frame.classList.add("coming");
  frame.addEventListener("load", () => {
    if (coming !== frame) return;
    frame.classList.remove("coming");
    shown.remove();
    shown = frame;
    coming = null;
    stage.dataset.base = address();
    // A frame that was loaded out of sight may stand at its top, and the hand may be at another story by now.
    if (story) move();
  });
  stage.append(frame);
}

function go(name) {
  if (name === story) return;
  story = name;
  if (isSeen() && !coming && stage.dataset.base === address()) move();
}

function move() {
  // Only the end of the address changes: the frame shows another place of the same document.
  shown.contentWindow.location.replace(`${address()}#${story}`);
}

export function watch() {
  mark();
  load();
  // What the checks say comes a moment after the change, and changes nothing here.
  let known = byId("revision").value;
  onFresh(() => {
    if (byId("revision").value !== known) load();
    known = byId("revision").value;
  });
  root.addEventListener("focusin", (event) => {
    const name = event.target.closest(".story:not(.out)")?.id;
    if (name) go(name);
    else if (event.target.closest(".texts")) go("");
  });
  byId("looks").addEventListener("click", (event) => {
    if (!event.target.value) return;
    look = event.target.value;
    mark();
    load();
  });
  matchMedia("(min-width: 68.75rem)").addEventListener("change", load);
}

function mark() {
  for (const button of byId("looks").children) button.setAttribute("aria-pressed", String(button.value === look));
}

// Beside what is typed: how long it is, how an in-box shows it, and fields that grow with their text.

import { byId, root } from "./page.js";
import { onFresh } from "./save.js";

const grows = CSS.supports("field-sizing", "content");
const segments = globalThis.Intl?.Segmenter ? new Intl.Segmenter() : null;

// Characters as people see them: a letter with its marks is one, and so is a flag.
export const length = (text) => (segments ? Array.from(segments.segment(text)) : Array.from(text)).length;

export function follow(field) {
  if (field.dataset.aim) count(field);
  const mirror = root.querySelector(`[data-mirror="${CSS.escape(field.name || " ")}"]`);
  if (mirror) mirror.textContent = field.value;
  if (!grows && field.matches("textarea")) {
    field.style.blockSize = "auto";
    field.style.blockSize = `${field.scrollHeight + 2}px`;
  }
}

function count(field) {
  const place = field.closest(".field").querySelector(".count");
  const aim = Number(field.dataset.aim);
  const letters = length(field.value);
  place.textContent = `${letters} characters; up to ${aim} are shown whole`;
  place.classList.toggle("over", letters > aim);
}

function all() {
  for (const field of root.querySelectorAll("textarea, [data-aim]")) follow(field);
}

// `lost` are words from before whose fields are gone from the page.
export function start(lost) {
  all();
  onFresh(all);
  if (!lost.length) return;
  const box = byId("lost");
  box.hidden = false;
  for (const text of lost) {
    const quote = box.appendChild(document.createElement("blockquote"));
    quote.className = "typed";
    quote.dir = "auto";
    quote.textContent = text;
  }
}

// What the other modules share: the page's own places, and its two voices.

export const root = document.getElementById("desk");
export const path = root.dataset.path;
export const me = root.dataset.me;

export const byId = (id) => document.getElementById(id);
export const form = () => byId("issue");
export const stories = () => Array.from(root.querySelectorAll(".story"));
export const nameOf = (story) => story.querySelector(".headline").textContent;
export const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;

// The strip's own line. Screen readers hear it when they have finished what they were saying.
export function say(text, kind = "") {
  const word = byId("word");
  if (word.textContent !== text) word.textContent = text;
  word.dataset.kind = kind;
}

const voice = document.createElement("p");
voice.className = "visually-hidden";
voice.setAttribute("aria-live", "assertive");
document.body.append(voice);

// Said to screen readers alone, at once: where a story stands while it is being moved.
export function tell(text) {
  voice.textContent = text;
}

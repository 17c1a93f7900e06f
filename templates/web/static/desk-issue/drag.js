// Dragging a story by its handle, with a mouse, a pen or a finger. A line shows where it would go; near the edges the
// page scrolls; Escape puts it back.

import * as arrange from "./arrange.js";
import { nameOf, root } from "./page.js";
import * as save from "./save.js";

const ENOUGH = 4;
const EDGE = 90;
const FASTEST = 16;

const lineOf = () => Object.assign(document.createElement("div"), { className: "drop-line" });

function begin(story, start) {
  const ghost = Object.assign(document.createElement("div"), { className: "ghost", textContent: nameOf(story) });
  const headline = story.querySelector(".headline");
  ghost.lang = headline.lang;
  ghost.dir = headline.dir;
  const drag = { story, ghost, line: lineOf(), x: start.clientX, y: start.clientY, from: arrange.placeOf(story), place: null };
  document.body.append(drag.ghost, drag.line);
  document.documentElement.classList.add("is-dragging");
  story.toggleAttribute("data-live-dragged", true);
  save.holdUntil(new Promise((done) => { drag.done = done; }));
  drag.frame = requestAnimationFrame(() => draw(drag));
  return drag;
}

// Once a picture: the page may scroll under a hand that rests.
function draw(drag) {
  scroll(drag.y);
  const [place, top] = nearest(drag);
  drag.place = place;
  const box = place.list.getBoundingClientRect();
  drag.line.style.transform = `translate(${box.left}px, ${top}px)`;
  drag.line.style.inlineSize = `${box.width}px`;
  drag.ghost.style.transform = `translate(${drag.x + 14}px, ${drag.y + 10}px)`;
  drag.frame = requestAnimationFrame(() => draw(drag));
}

function nearest({ story, y }) {
  const found = arrange.places(story).map((place) => [place, topOf(place, story)]);
  return found.reduce((best, one) => (Math.abs(one[1] - y) < Math.abs(best[1] - y) ? one : best));
}

function topOf({ list, before }, story) {
  if (before) return before.getBoundingClientRect().top;
  const last = Array.from(list.children).filter((child) => child !== story).at(-1);
  if (last) return last.getBoundingClientRect().bottom;
  const box = list.getBoundingClientRect();
  return box.top + box.height / 2;
}

function scroll(y) {
  const above = EDGE - y;
  const below = y - (innerHeight - EDGE);
  const by = above > 0 ? -above : below > 0 ? below : 0;
  if (by) scrollBy({ top: Math.sign(by) * Math.min(Math.abs(by) / 5, FASTEST), behavior: "instant" });
}

function end(drag, isMeant) {
  cancelAnimationFrame(drag.frame);
  drag.ghost.remove();
  drag.line.remove();
  document.documentElement.classList.remove("is-dragging");
  drag.story.removeAttribute("data-live-dragged");
  if (isMeant && drag.place && !arrange.isSame(drag.place, drag.from)) {
    arrange.show(drag.story, drag.place);
    arrange.put(drag.story, drag.place);
  }
  drag.done();
}

export function listenToPointers() {
  let pressed = null;
  let drag = null;
  const stop = (isMeant) => {
    if (drag) end(drag, isMeant);
    pressed = drag = null;
  };
  root.addEventListener("pointerdown", (event) => {
    const handle = event.target.closest(".handle");
    if (handle && event.isPrimary && event.button === 0) pressed = { story: handle.closest(".story"), event };
  });
  addEventListener("pointermove", (event) => {
    if (!pressed || event.pointerId !== pressed.event.pointerId) return;
    const far = Math.hypot(event.clientX - pressed.event.clientX, event.clientY - pressed.event.clientY);
    if (!drag && far > ENOUGH) drag = begin(pressed.story, event);
    if (drag) Object.assign(drag, { x: event.clientX, y: event.clientY });
  });
  addEventListener("pointerup", () => stop(true));
  addEventListener("pointercancel", () => stop(false));
  addEventListener("blur", () => stop(false));
  addEventListener("keydown", (event) => {
    if (drag && event.key === "Escape") {
      event.preventDefault();
      event.stopImmediatePropagation();
      stop(false);
    }
  }, true);
}

// Where stories stand, and moving them there: the move is shown at once, and the server's page follows.

import { byId, isStill, nameOf, root, tell } from "./page.js";
import * as save from "./save.js";

export const lists = () => Array.from(root.querySelectorAll("ol[data-section]"));
const inside = (list) => Array.from(list.children).filter((child) => child.matches(".story"));

// All places that a story could go to: before another one, or at the end of a list (`before` is null).
export function places(story) {
  return lists().flatMap((list) => {
    const others = inside(list).filter((other) => other !== story);
    return [...others, null].map((before) => ({ list, before }));
  });
}

export function placeOf(story) {
  const list = story.closest("ol[data-section]");
  const next = inside(list)[inside(list).indexOf(story) + 1] ?? null;
  return { list, before: next };
}

export const isSame = (one, other) => one.list === other.list && one.before === other.before;

export function show(story, { list, before }) {
  const moved = isStill ? [] : Array.from(root.querySelectorAll(".story"));
  const tops = moved.map((one) => one.getBoundingClientRect().top);
  if (list.moveBefore) list.moveBefore(story, before);
  else list.insertBefore(story, before);
  moved.forEach((one, place) => {
    const by = tops[place] - one.getBoundingClientRect().top;
    if (by) one.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }], { duration: 160, easing: "ease-out" });
  });
}

export function put(story, { list, before }) {
  return save.act(`items/${story.dataset.item}/place`, {
    section: list.dataset.section,
    before: before ? before.dataset.item : "",
  });
}

export function describe(story) {
  const list = story.closest("ol[data-section]");
  const all = inside(list);
  return `${nameOf(story)}: ${all.indexOf(story) + 1} of ${all.length} in ${list.dataset.name}`;
}

// With the keys: the arrows move at once, and it is saved when the hand rests, goes on, or presses Enter.

const REST = 1000;
let carried = null;

function begin(story) {
  carried = { story, from: placeOf(story), timer: 0 };
  story.toggleAttribute("data-live-carried", true);
  save.holdUntil(new Promise((done) => { carried.done = done; }));
}

function finish(isMeant) {
  if (!carried) return;
  const { story, from, timer, done } = carried;
  carried = null;
  clearTimeout(timer);
  story.removeAttribute("data-live-carried");
  if (!isMeant) {
    show(story, from);
    byId(`handle-${story.dataset.item}`)?.focus();
    tell(`Put back. ${describe(story)}`);
  } else if (!isSame(from, placeOf(story))) {
    put(story, placeOf(story));
  }
  done();
}

function step(story, by) {
  if (carried?.story !== story) {
    finish(true);
    begin(story);
  }
  const all = places(story);
  const at = all.findIndex((place) => isSame(place, placeOf(story)));
  const wanted = all[at + by];
  if (!wanted) {
    tell(by < 0 ? "It is the first already." : "It is the last already.");
    return;
  }
  const mine = carried;
  mine.isMoving = true;
  show(story, wanted);
  const handle = byId(`handle-${story.dataset.item}`);
  handle.focus({ preventScroll: true });
  handle.scrollIntoView({ block: "nearest" });
  mine.isMoving = false;
  tell(describe(story));
  clearTimeout(mine.timer);
  mine.timer = setTimeout(() => finish(true), REST);
}

export function listenToKeys() {
  root.addEventListener("keydown", (event) => {
    const handle = event.target.closest?.(".handle");
    if (!handle || event.ctrlKey || event.metaKey || event.altKey) return;
    const story = handle.closest(".story");
    if (event.key === "ArrowUp" || event.key === "ArrowDown") step(story, event.key === "ArrowUp" ? -1 : 1);
    else if (event.key === "Escape" && carried) finish(false);
    else if ((event.key === "Enter" || event.key === " ") && carried) finish(true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  root.addEventListener("focusout", (event) => {
    if (carried && !carried.isMoving && event.target.matches?.(".handle")) finish(true);
  });
}

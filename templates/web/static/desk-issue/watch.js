// What changes without the editor's hand: the time that is left, what somebody else does, and an issue on its way out.

import { byId, me, path, root } from "./page.js";
import * as save from "./save.js";

const ASK = 8000;
const TICK = 20_000;
const FOLLOW = 4000;

// The same words as the server's, so that nothing jumps.
export function until(then, now) {
  const minutes = Math.floor(Math.abs(then - now) / 60_000);
  const days = Math.floor(minutes / 1440);
  const hours = Math.floor(minutes / 60);
  let words = hours ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
  if (days >= 2) words = `${days} days`;
  else if (hours >= 12 || (hours && minutes % 60 === 0)) words = `${hours} h`;
  return (then >= now ? `in ${words}` : `${words} ago`).replaceAll(" ", "\u00a0");
}

// The server's clock counts: this machine's may be wrong.
let ahead = 0;

function setClock() {
  const now = byId("leaves")?.dataset.now;
  if (now) ahead = Date.parse(now) - Date.now();
}

function tick() {
  const leaves = byId("leaves");
  if (leaves) leaves.textContent = until(Date.parse(leaves.dateTime), Date.now() + ahead);
}

const stateNow = () => byId("progress")?.dataset.state;

async function look() {
  if (document.hidden || !save.isIdle() || stateNow() === "sending") return;
  const response = await fetch(`${path}/revision`, { credentials: "same-origin" });
  if (!response.ok || response.redirected || !save.isIdle()) return;
  const { revision, state, who, did } = await response.json();
  const isNew = String(revision) !== byId("revision").value || state !== stateNow();
  const news = byId("news");
  if (isNew) {
    const name = who === me ? "You, in another window," : who || "Somebody";
    const text = `${name} ${did || "changed the issue"}.`;
    if (news.firstElementChild.textContent !== text) news.firstElementChild.textContent = text;
  }
  news.hidden = !isNew;
}

async function follow() {
  if (!document.hidden && stateNow() === "sending" && save.isIdle()) await save.refresh();
}

const again = (work, every) => setInterval(() => work().catch(() => {}), every);

export function watch() {
  setClock();
  setInterval(tick, TICK);
  again(look, ASK);
  again(follow, FOLLOW);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) look().catch(() => {});
  });
  root.addEventListener("click", (event) => {
    if (event.target.closest("#news button")) save.refresh();
  });
  save.onFresh(() => {
    setClock();
    byId("news").hidden = true;
    // What was saved is saved; what the checks say of it takes a moment longer, and is asked for when nothing else waits.
    if (byId("checks")?.hasAttribute("data-unchecked")) save.refresh();
  });
}

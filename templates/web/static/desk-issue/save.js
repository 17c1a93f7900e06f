// Every change goes to the server by here: one request at a time, in the order in which they were made. Each takes along
// whatever is typed and not saved yet. What cannot be sent stays on the page and in the browser's own store.

import * as fields from "./fields.js";
import { keep } from "./kept.js";
import { morph, read } from "./morph.js";
import { byId, me, path, root, say } from "./page.js";

const PAUSE = 900;
const AGAIN = 10_000;
const MOST_ON_LEAVING = 60_000;
const CHOOSE = "Choose which of the two is to stand.";

class Trouble extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

const watchers = new Set();
const tasks = [];
let isAtWork = false;
let isFailed = false;
// Whether an answer was not put into the page, because others were waited for.
let isBehind = false;
let pause = 0;
let again = 0;
let held = Promise.resolve();

// Calls back with each page that was put in: the preview and the counts have to follow.
export const onFresh = (callback) => watchers.add(callback);
export const isIdle = () => tasks.length === 0;
export const isFailing = () => isFailed;
// While somebody drags a story, nothing is put in under their hand.
export const holdUntil = (done) => { held = done; };

// Saves what is typed when the hand has rested for a moment.
export function soon() {
  keep();
  clearTimeout(pause);
  pause = setTimeout(now, PAUSE);
}

// Says whether all that is typed is saved: words that were refused, or that clash, are not.
export function now() {
  clearTimeout(pause);
  const last = tasks.at(-1);
  if (last?.isQuiet && !last.isReading && !(isAtWork && tasks.length === 1)) return inLine(last);
  return fields.ready().length || tasks.length ? inLine(task(() => change("save", {}, true), true)) : Promise.resolve(!fields.troubled().length);
}

// When nothing is on its way any more.
export async function settled() {
  while (tasks.length) await tasks.at(-1).done;
}

// Does what a button would do: `step` is the end of its address, `items/3/out`. Says whether it was done.
export function act(step, extra = {}) {
  clearTimeout(pause);
  return inLine(task(() => change(step, extra, false)));
}

// Shows the page as it stands now.
export function refresh() {
  return inLine(task(show, true, true));
}

async function show() {
  const { answer } = await ask("", { headers: { accept: "application/json" } });
  await absorb(answer, new Map());
  return true;
}

// What is not saved when the page is left is sent with it; the answer is not waited for.
export function onLeaving() {
  const { body, sent } = bodyOf({});
  if (sent.size && String(body).length < MOST_ON_LEAVING) {
    fetch(`${path}/save`, { method: "POST", body, keepalive: true, headers: { accept: "application/json" } }).catch(() => {});
  }
}

export function tryAgain() {
  clearTimeout(again);
  return work();
}

function task(run, isQuiet = false, isReading = false) {
  const made = { run, isQuiet, isReading };
  made.done = new Promise((resolve) => { made.resolve = resolve; });
  return made;
}

function inLine(made) {
  if (!tasks.includes(made)) tasks.push(made);
  work();
  return made.done;
}

// What fails for want of a connection stays at the head of the line, and those behind it wait.
async function work() {
  if (isAtWork) return;
  isAtWork = true;
  const slow = setTimeout(() => { if (!tasks[0]?.isReading) say("Saving…", "busy"); }, 250);
  try {
    while (tasks.length) {
      const result = await tasks[0].run();
      tasks.shift().resolve(result);
      succeeded();
    }
  } catch (error) {
    const isLost = !(error instanceof Trouble) || tasks[0].isReading;
    if (isLost) tasks.shift().resolve(false);
    if (!(error instanceof Trouble) || tasks.length) fail(error);
  } finally {
    clearTimeout(slow);
    isAtWork = false;
    if (byId("word").dataset.kind === "busy") say("");
  }
}

async function change(step, extra, isQuiet) {
  const { body, sent } = bodyOf(extra);
  if (isQuiet && !sent.size) return (isBehind ? await show() : true) && !fields.troubled().length;
  const { answer, isDone } = await ask(`/${step}`, { method: "POST", body, headers: { accept: "application/json" } });
  const left = await absorb(answer, sent);
  if (!isDone) return refused(answer, left);
  // What is saved by itself must not take the words away that ask for a choice.
  if (isQuiet && fields.troubled().some(fields.isClashing)) say(`All else is saved; where somebody else has written too, it waits. ${CHOOSE}`, "bad");
  // Another window may have been quicker with the same words.
  else say((!(isQuiet && answer.done === "same") && answer.said) || "Saved.", "good");
  if (fields.ready().length) soon();
  return !isQuiet || !fields.troubled().length;
}

function bodyOf(extra, wanted = fields.ready()) {
  const sent = new Map(wanted.map((field) => [field, field.value]));
  const body = new URLSearchParams({ csrf: byId("csrf").value, revision: byId("revision").value, ...extra });
  for (const [field, value] of sent) {
    body.append(field.name, value);
    body.append(`was-${field.name}`, fields.markOf(field));
  }
  return { body, sent };
}

// Gives back what of the words that were sent is not saved: of those the page shows what stands instead.
async function absorb(answer, sent) {
  const fresh = read(answer.page);
  const isLeft = ([field]) => fresh.querySelector(`#${CSS.escape(`stands-${field.name}`)}`);
  const left = Array.from(sent).filter(isLeft);
  fields.settle(Array.from(sent).filter((one) => !isLeft(one)), fresh);
  keep();
  byId("revision").value = answer.revision;
  // The last of several that wait in line brings the page that has them all; but of a clash it knows nothing.
  isBehind = tasks.length > 1 && !left.length;
  if (isBehind) return left;
  await held;
  // What is refused is said at its field or in the strip, where the eyes are, and not at the head of the page.
  fresh.querySelector("#refused")?.remove();
  morph(root, fresh, fields.ward);
  for (const callback of watchers) callback();
  return left;
}

// One refusal for several fields: each is tried alone, so that one does not keep the others from being saved.
async function refused(answer, left) {
  const names = left.map(([field]) => field);
  const clashing = names.filter(fields.isOffered);
  for (const field of clashing) fields.setTrouble(field, fields.CLASH);
  if (clashing.length) say(`Not saved: somebody else has written there too. ${CHOOSE}`, "bad");
  else if (names.length > 1) for (const field of names) await alone(field);
  else refusedAt(names[0], answer);
  keep();
  return false;
}

function refusedAt(field, answer) {
  if (field) fields.setTrouble(field, answer.refused);
  say(field ? `Not saved: ${answer.refused}` : answer.refused, "bad");
}

async function alone(field) {
  const { body, sent } = bodyOf({}, [field]);
  const { answer, isDone } = await ask("/save", { method: "POST", body, headers: { accept: "application/json" } });
  const left = await absorb(answer, sent);
  if (!isDone) await refused(answer, left);
}

async function ask(where, init, isSecond = false) {
  let response;
  try {
    response = await fetch(path + where, { credentials: "same-origin", ...init });
  } catch {
    throw new Trouble("network", "there is no connection");
  }
  if (response.status === 401 || new URL(response.url).pathname === "/desk/login") throw new Trouble("session", "you are no longer logged in");
  if (response.status === 403) {
    // The page may be older than the session: it was left open while somebody logged in anew.
    if (!isSecond && init.body && (await renewToken())) {
      init.body.set("csrf", byId("csrf").value);
      return ask(where, init, true);
    }
    throw new Trouble("session", "the service did not take it");
  }
  if (!response.headers.get("content-type")?.startsWith("application/json")) throw new Trouble("broken", "the service could not take it");
  return { answer: await response.json(), isDone: response.ok };
}

// True where the same person has logged in again.
async function renewToken() {
  const response = await fetch(`${path}/revision`, { credentials: "same-origin" });
  if (!response.ok || response.redirected) return false;
  const standing = await response.json();
  if (standing.me !== me || standing.csrf === byId("csrf").value) return false;
  byId("csrf").value = standing.csrf;
  return true;
}

function succeeded() {
  isFailed = false;
  clearTimeout(again);
  byId("again").hidden = true;
  byId("log-in-again").hidden = true;
}

function fail(error) {
  isFailed = true;
  keep();
  byId("again").hidden = false;
  byId("log-in-again").hidden = error.kind !== "session";
  say(`Not saved: ${error.message}. What you wrote is kept on this computer until it is.`, "bad");
  clearTimeout(again);
  again = setTimeout(tryAgain, AGAIN);
}

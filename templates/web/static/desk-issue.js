// The desk works without this. It counts characters, keeps unsaved words from being lost, saves on Ctrl+S, and looks
// after an issue that is going out.
"use strict";

const form = document.getElementById("issue");

function count(field) {
  const place = field.closest(".field").querySelector(".count");
  const aim = Number(field.dataset.aim);
  const length = Array.from(field.value).length;
  place.textContent = `${length} characters; up to ${aim} are shown whole`;
  place.classList.toggle("over", length > aim);
}

function isTouched() {
  const fields = form.querySelectorAll("input:not([type=hidden]), textarea");
  return Array.from(fields).some((field) => field.value !== field.defaultValue) ||
    Array.from(form.querySelectorAll("option")).some((option) => option.selected !== option.defaultSelected);
}

async function follow(panel) {
  while (panel && panel.dataset.state === "sending") {
    await new Promise((wake) => setTimeout(wake, 4000));
    // An open "Stop for good" must not be taken from under somebody's hand.
    if (document.hidden || panel.querySelector("details[open]")) continue;
    const answer = await fetch(location.pathname, { credentials: "same-origin" });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("progress");
    if (!fresh) return;
    panel.replaceWith(fresh);
    panel = fresh;
  }
}

if (form) {
  let leaving = false;
  for (const field of form.querySelectorAll("[data-aim]")) field.addEventListener("input", () => count(field));
  form.addEventListener("submit", () => { leaving = true; });
  window.addEventListener("pageshow", () => { leaving = false; });
  window.addEventListener("beforeunload", (event) => {
    if (!leaving && isTouched()) event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "s" && form.querySelector(".save")) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  follow(document.getElementById("progress")).catch(() => {});
}

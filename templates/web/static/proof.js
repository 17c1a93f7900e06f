// The proof of work that the sign-up form asks for when it is pressed (ALTCHA, version 2). One file for both sides: the
// page starts it once more as a worker, which tries numbers until one is right. Without scripts the form works too.
"use strict";

(() => {
  const octetsOf = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const hexOf = (buffer) => Array.from(new Uint8Array(buffer), (octet) => octet.toString(16).padStart(2, "0")).join("");

  if (typeof document === "undefined") {
    onmessage = async ({ data }) => postMessage(await solve(data));
    return;
  }

  async function solve({ nonce, salt, cost, keyLength, keyPrefix }) {
    const start = octetsOf(nonce);
    const password = new Uint8Array(start.length + 4);
    password.set(start);
    const rule = { name: "PBKDF2", hash: "SHA-256", salt: octetsOf(salt), iterations: cost };
    for (let counter = 0; ; counter += 1) {
      new DataView(password.buffer).setUint32(start.length, counter);
      const key = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
      const derivedKey = hexOf(await crypto.subtle.deriveBits(rule, key, 8 * keyLength));
      if (derivedKey.startsWith(keyPrefix)) return { counter, derivedKey };
      if (counter % 8 === 0) postMessage({ tried: counter });
    }
  }

  const form = document.querySelector("form[data-challenge]");
  if (!form || !window.Worker || !window.crypto?.subtle) return;
  const challenge = JSON.parse(form.dataset.challenge);
  const tries = 16 ** challenge.parameters.keyPrefix.length;
  const box = form.querySelector(".proof");
  const bar = box.querySelector("progress");
  const line = box.querySelector("[role=status]");
  let worker = null;
  let isPressed = false;
  let isReady = false;

  function begin() {
    if (worker) return;
    worker = new Worker("/static/proof.js");
    worker.onmessage = ({ data }) => ("tried" in data ? tell(data.tried) : finish(data));
    // What cannot be calculated is not asked for again and again: without it the form is sent as without scripts.
    worker.onerror = () => finish(null);
    worker.postMessage(challenge.parameters);
  }

  // How likely it was to be found by now: never full before it is, and never standing still.
  function tell(tried) {
    bar.value = 1 - (1 - 1 / tries) ** tried;
  }

  function finish(solution) {
    worker.terminate();
    if (solution) form.elements.altcha.value = btoa(JSON.stringify({ challenge, solution }));
    bar.value = 1;
    isReady = true;
    if (isPressed) form.requestSubmit();
  }

  form.addEventListener("focusin", begin, { once: true });
  form.addEventListener("submit", (event) => {
    if (isReady) return;
    event.preventDefault();
    isPressed = true;
    box.hidden = false;
    form.setAttribute("aria-busy", "true");
    line.textContent = line.dataset.working;
    begin();
  });
})();

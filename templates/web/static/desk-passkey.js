// Passkeys: forms with `data-passkey` ask our server what is to be signed, let the browser sign it, and send the answer
// in their own field. They are shown only where the browser can; everything else on the page works without.
"use strict";

const TROUBLE = {
  NotAllowedError: "It was called off, or took too long. Nothing was changed.",
  InvalidStateError: "This device has a passkey for the desk already.",
  NotSupportedError: "This device cannot make such a passkey.",
  SecurityError: "The browser makes no passkeys for this address.",
};

const fromText = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));

const toText = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

const keysOf = (list) => (list || []).map((one) => ({ ...one, id: fromText(one.id) }));

async function create(options) {
  const made = await navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: fromText(options.challenge),
      user: { ...options.user, id: fromText(options.user.id) },
      excludeCredentials: keysOf(options.excludeCredentials),
    },
  });
  return {
    clientDataJSON: toText(made.response.clientDataJSON),
    attestationObject: toText(made.response.attestationObject),
    credential: made,
  };
}

async function login(options) {
  const shown = await navigator.credentials.get({
    publicKey: {
      ...options,
      challenge: fromText(options.challenge),
      allowCredentials: keysOf(options.allowCredentials),
    },
  });
  const handle = shown.response.userHandle;
  return {
    clientDataJSON: toText(shown.response.clientDataJSON),
    authenticatorData: toText(shown.response.authenticatorData),
    signature: toText(shown.response.signature),
    ...(handle && { userHandle: toText(handle) }),
    credential: shown,
  };
}

async function sign(form) {
  const asked = await fetch(form.dataset.options, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  if (!asked.ok) throw new Error("asked");
  const act = form.dataset.passkey === "create" ? create : login;
  const { credential, ...response } = await act(await asked.json());
  form.elements.answer.value = JSON.stringify({
    id: credential.id,
    rawId: toText(credential.rawId),
    type: credential.type,
    response,
  });
  // Not by the event again: it would ask for another one.
  HTMLFormElement.prototype.submit.call(form);
}

if (window.PublicKeyCredential) {
  for (const note of document.querySelectorAll("[data-no-passkey]")) note.remove();
}

for (const form of document.querySelectorAll("[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    const trouble = form.querySelector("[data-trouble]");
    button.disabled = true;
    trouble.hidden = true;
    try {
      await sign(form);
    } catch (error) {
      trouble.textContent = TROUBLE[error.name] || "That did not work. Please load the page anew, and try once more.";
      trouble.hidden = false;
      button.disabled = false;
    }
  });
}

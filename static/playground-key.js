// The API key: typed, locked, and from then on in this variable and nowhere else. Not in an
// attribute, an address or a storage of the browser; a reload forgets it, and so does unlocking.

import { byId } from "./element.js";

let key = null;

const field = byId("key-field");
const input = byId("api-key");
const button = byId("key-lock");
const error = byId("api-key-error");

/** As much of a key as dashboards show. */
const PREFIX_LENGTH = 9;
const LENGTH_MAX = 512;

/** The header for a request; null when no key is locked. */
export const authorization = () => (key === null ? null : `Bearer ${key}`);

/** Calls back whenever a key is locked or forgotten. */
export function onKey(listener) {
  document.addEventListener("playground-key", listener);
}

function problem(text) {
  if (text === "") return "Type an API key first.";
  // Control characters, and those that change how the ones around them are read or are not seen.
  if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text)) return "The key contains control or invisible characters.";
  if (!/^[\x21-\x7e]+$/.test(text)) return "The key contains characters that no key has.";
  if (text.length > LENGTH_MAX) return "The key is too long.";
  return null;
}

function complain(text) {
  error.textContent = text ?? "";
  error.hidden = text === null;
  field.classList.toggle("invalid", text !== null);
  if (text === null) input.removeAttribute("aria-invalid");
  else input.setAttribute("aria-invalid", "true");
}

function show() {
  const locked = key !== null;
  field.classList.toggle("locked", locked);
  input.readOnly = locked;
  input.classList.toggle("masked", !locked);
  input.value = locked ? `${key.slice(0, PREFIX_LENGTH)}...` : "";
  button.title = locked ? "Unlock API key" : "Lock API key";
  button.setAttribute("aria-label", button.title);
  document.dispatchEvent(new Event("playground-key"));
}

function lock() {
  const typed = input.value.trim();
  const found = problem(typed);
  complain(found);
  if (found !== null) {
    input.focus();
    return;
  }
  key = typed;
  show();
}

/** Forgets the key. */
export function forget() {
  key = null;
  show();
}

button.addEventListener("click", () => {
  if (key === null) {
    lock();
    return;
  }
  forget();
  input.focus();
});
input.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && key === null) lock();
});
input.addEventListener("input", () => complain(problem(input.value.trim() || "-")));

// Browsers may keep a page that one leaves, and show it again with everything in its memory.
addEventListener("pagehide", forget);

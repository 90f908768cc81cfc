// Any generation of the account by its id: look it up, cancel it, delete it.

import { byId, element } from "./element.js";
import { answerSection } from "./playground-answer.js";
import { call, reason, succeeded } from "./playground-api.js";
import { authorization } from "./playground-key.js";

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const ACTIONS = {
  info: ["Get info", "GET", (id) => `/v1/content/${id}`],
  cancel: ["Cancel", "POST", (id) => `/v1/content/generation/cancel/${id}`],
  delete: ["Delete", "DELETE", (id) => `/v1/content/${id}`],
};

const dialog = byId("confirm-delete");
const input = byId("manage-id");
const error = byId("manage-error");

/** Does one of the actions, after a question where nothing brings it back; null when not wanted. */
export async function manage(action, id) {
  const [, method, path] = ACTIONS[action];
  if (action === "delete" && !(await confirmed(id))) return null;
  return call(method, path(id));
}

/** An id that was sent from here can be chosen again. */
export function offer(id) {
  byId("sent-ids").prepend(element("option", { value: id }));
  input.value = id;
}

function confirmed(id) {
  byId("confirm-id").textContent = id;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "delete"), { once: true });
  });
}

function complain(text) {
  error.textContent = text ?? "";
  error.hidden = text === null;
  input.closest(".field").classList.toggle("invalid", text !== null);
}

function problem(id) {
  if (!ID.test(id)) return "A generation ID is a UUID.";
  return authorization() === null ? "Lock an API key first." : null;
}

/** `done` hears `(action, id, answer)`. */
export function listenToManagement(done) {
  byId("manage-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const action = event.submitter?.value ?? "info";
    const id = input.value.trim().toLowerCase();
    complain(problem(id));
    if (!error.hidden) {
      input.focus();
      return;
    }
    const answer = await manage(action, id);
    if (answer === null) return;
    byId("managed").replaceChildren(answerSection(answer, ACTIONS[action][0]));
    byId("manage-status").textContent = succeeded(answer) ? `${ACTIONS[action][0]}: done` : reason(answer);
    done(action, id, answer);
  });
}

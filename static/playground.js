// The playground: what happens when. Each part of the page has a module of its own.

import { badge, byId, element } from "./element.js";
import { answerSection, copyAndSay, count, recordSection, statusBadge } from "./playground-answer.js";
import { call, follow, reason, succeeded } from "./playground-api.js";
import { asJson, showCode } from "./playground-code.js";
import { estimate, estimateAgain } from "./playground-estimate.js";
import { Form } from "./playground-form.js";
import { authorization, onKey } from "./playground-key.js";
import { Life } from "./playground-life.js";
import { listenToManagement, manage, offer } from "./playground-manage.js";
import { chooseModels } from "./playground-models.js";
import { showOutputs } from "./playground-outputs.js";
import { showPane } from "./playground-panes.js";
import { showSchema } from "./playground-schema.js";
import { pretty } from "./playground-json.js";
import { toast } from "./toasts.js";

const IDEMPOTENCY_KEY = /^[A-Za-z0-9_.:-]{1,255}$/;

const send = byId("send");
const keyInput = byId("idempotency-key");
const form = new Form(byId("fields"), look);

let model = null;
let wanted = null;
let isSending = false;
/** The generation that is shown, and what stops following it. */
let life = null;
let following = null;

/** What would be sent now; null while there is no model. */
function request() {
  if (model === null) return null;
  const { model_identifier: identifier, model_type: media } = model;
  const route = `/v1/generate/${media}/${identifier}`;
  return { model: identifier, media, route, ...form.read(), idempotencyKey: keyInput.value.trim() };
}

/** Brings everything that follows from the form up to date. */
function look() {
  const asked = request();
  if (asked === null) return;
  showCode(asked);
  estimate(asked.model, asked.media, asked.body);
  const problems = [
    asked.missing.length > 0 && `Fill required: ${asked.missing.join(", ")}`,
    asked.wrong.length > 0 && `Correct: ${asked.wrong.join(", ")}`,
    keyProblem(asked.idempotencyKey) !== null && "Correct: Idempotency-Key",
    authorization() === null && "Lock an API key to send.",
  ];
  const problem = problems.find(Boolean);
  byId("missing").textContent = problem || "";
  send.disabled = isSending || Boolean(problem);
}

function keyProblem(text) {
  const isGood = text === "" || IDEMPOTENCY_KEY.test(text);
  return isGood ? null : "1 to 255 letters, digits and _ - : .";
}

function renewKey() {
  // Not `randomUUID`, which browsers have only where there is TLS.
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  keyInput.value = `playground-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  complainOfKey();
}

function complainOfKey() {
  const problem = keyProblem(keyInput.value.trim());
  const error = byId("idempotency-key-error");
  error.textContent = problem ?? "";
  error.hidden = problem === null;
  keyInput.closest(".field").classList.toggle("invalid", problem !== null);
  look();
}

async function chooseModel(identifier) {
  model = null;
  wanted = identifier;
  send.disabled = true;
  const answer = await fetch(`/playground/models/${identifier}`).then((it) => it.json()).catch(() => null);
  if (wanted !== identifier) return;
  if (answer?.model_identifier !== identifier) {
    byId("missing").textContent = "This model could not be loaded. Reload the page.";
    return;
  }
  model = answer;
  const { route } = request();
  byId("route").textContent = route;
  byId("route").title = route;
  showSchema(model, route);
  form.show(model);
}

async function submit() {
  const asked = request();
  setSending(true);
  following?.abort();
  life?.leave();
  life = new Life(asked.body.generation_provider_order === "fastest" ? model.model_supported_provider : asked.body.generation_provider_order.split(", "));
  const own = life;
  byId("response-empty").hidden = true;
  byId("answers").replaceChildren();
  showOutputs(null);
  showPane("response");
  const stopClock = countUp();
  const answer = await call("POST", asked.route, asked);
  stopClock();
  setSending(false);
  facts(answer);
  addAnswer(answer, "Answer");
  settleKey(answer);
  if (succeeded(answer)) await watch(own, answer.body.data);
  else refuse(own, answer);
}

// A request that may still have been taken keeps its key: sent again, it is paid once.
function settleKey({ status, body }) {
  if (status !== 0 && body?.error?.retryable !== true) renewKey();
}

function refuse(own, answer) {
  own.refused(answer.body?.error);
  const { issues = [], field, reason: why } = answer.body?.error?.details ?? {};
  const named = issues.length > 0 ? issues : field ? [{ field, reason: why ?? reason(answer) }] : [];
  form.blame(named);
  byId("life-status").textContent = reason(answer);
  buttons();
}

async function watch(own, created) {
  own.accepted(created);
  offer(own.id);
  buttons();
  following = new AbortController();
  const { signal } = following;
  try {
    const last = await follow(own.id, (name, data) => hear(own, name, data), signal);
    if (last !== null) own.lost(last.status === 404 ? "Deleted" : "Not followed any more", reason(last));
  } catch (failure) {
    if (failure.name !== "AbortError") throw failure;
  }
  if (life === own) {
    buttons();
    estimateAgain();
  }
}

function hear(own, name, data) {
  own.heard(name, data);
  if (data.generation === undefined) return;
  showOutputs(data.generation);
  byId("answers").append(recordSection(data.generation));
  buttons();
}

function setSending(sending) {
  isSending = sending;
  send.setAttribute("aria-busy", String(sending));
  buttons();
  look();
}

function buttons() {
  const id = life?.id ?? null;
  byId("cancel").hidden = isSending || id === null || life.isOver;
  byId("delete").hidden = isSending || id === null || !life.isOver;
}

/** Shows the milliseconds as they pass. */
function countUp() {
  const began = performance.now();
  const clock = element("span", { class: "mono" });
  byId("response-facts").replaceChildren(badge("info", "Sending"), clock);
  const tick = () => (clock.textContent = `${Math.round(performance.now() - began)} ms`);
  tick();
  const timer = setInterval(tick, 50);
  return () => clearInterval(timer);
}

function facts(answer) {
  byId("response-facts").replaceChildren(statusBadge(answer), element("span", { class: "mono" }, `${answer.ms} ms`));
}

function addAnswer(answer, title) {
  byId("answers").prepend(answerSection(answer, title));
}

async function act(action) {
  const own = life;
  const answer = await manage(action, own.id);
  if (answer === null) return;
  addAnswer(answer, action === "cancel" ? "Cancel" : "Delete");
  managed(action, own.id, answer);
}

/** What a cancel or a deletion changes in what is shown. */
function managed(action, id, answer) {
  if (!succeeded(answer)) {
    if (action !== "info") toast(reason(answer), "error");
    return;
  }
  if (action === "cancel") toast("Generation canceled, credit refunded", "success");
  if (action !== "delete") return;
  const files = answer.body.data.files_deleted;
  toast(`Generation deleted, with ${count(files, "file")}`, "success");
  if (life?.id !== id) return;
  following?.abort();
  showOutputs(null);
  life.lost("Deleted", count(files, "file") + " removed.");
  life = null;
  buttons();
  estimateAgain();
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!send.disabled) submit();
});
keyInput.addEventListener("input", complainOfKey);
byId("idempotency-new").addEventListener("click", renewKey);
byId("reset").addEventListener("click", () => form.reset());
byId("body-copy").addEventListener("click", (event) => model && copyAndSay(asJson(form.read()), event.currentTarget));
byId("schema-copy").addEventListener("click", (event) => model && copyAndSay(pretty(JSON.stringify(model)), event.currentTarget));
byId("cancel").addEventListener("click", () => act("cancel"));
byId("delete").addEventListener("click", () => act("delete"));
onKey(look);
listenToManagement(managed);
renewKey();
chooseModels(chooseModel);

// What the request will cost, while it is written.

import { badge, byId } from "./element.js";
import { call, reason, succeeded } from "./playground-api.js";
import { authorization } from "./playground-key.js";

const DELAY_MS = 300;
/** What a price depends on: the parameter of an estimate, and the field of the request. */
const MATTERS = [
  ["count", "generation_output_number"],
  ["duration", "generation_duration"],
  ["resolution", "generation_resolution"],
  ["audio", "generation_generate_audio"],
];

const note = byId("estimate");
let shown = null;
let timer = null;
let asking = null;

/** Asks for the price of a request, unless it is the one that is shown. */
export function estimate(model, media, body) {
  const query = new URLSearchParams();
  for (const [name, field] of MATTERS) if (body[field] !== undefined) query.set(name, body[field]);
  if (authorization() === null) say(null, "Lock an API key to see what this costs.");
  else if (media === "video" && !query.has("duration")) say(null, "Choose a duration to see what this costs.");
  else later(`/v1/estimate/${model}?${query}`);
}

/** Asks again even for the same request: the balance has changed. */
export function estimateAgain() {
  const path = shown;
  shown = null;
  if (path !== null && authorization() !== null) later(path);
}

function say(path, ...content) {
  clearTimeout(timer);
  asking?.abort();
  shown = path;
  note.replaceChildren(...content);
}

function later(path) {
  if (path === shown) return;
  say(path, "Estimating…");
  timer = setTimeout(async () => {
    asking = new AbortController();
    const answer = await call("GET", path, { signal: asking.signal }).catch(() => null);
    if (answer !== null && path === shown) note.replaceChildren(...told(answer));
  }, DELAY_MS);
}

function told(answer) {
  if (!succeeded(answer)) return [badge("bad", "No estimate"), ` ${reason(answer)}`];
  const { cost_total_consumed: cost, credit_balance: balance, credit_balance_can_afford: enough } = answer.body.data;
  const parts = [`Estimate ${credits(cost)}`];
  if (balance !== null) parts.push(` · balance ${credits(balance)} `);
  if (enough === false) parts.push(badge("warning", "Not enough"));
  return parts;
}

const credits = (amount) => `${amount.toLocaleString("en", { minimumFractionDigits: 3, maximumFractionDigits: 3 })} credits`;

// An answer of the API: what was asked, status, time, lines, and the JSON.

import { copyText } from "./copy.js";
import { badge, element, icon } from "./element.js";
import { countLines, highlighted, pretty } from "./playground-json.js";
import { toast } from "./toasts.js";

const STATUS = {
  200: "OK", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden",
  404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 413: "Content Too Large",
  422: "Unprocessable Content", 429: "Too Many Requests", 500: "Internal Server Error",
  502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
};

/** A badge for the status of an answer. */
export function statusBadge({ status }) {
  const tone = status >= 200 && status < 300 ? "good" : status === 429 || status === 409 ? "warning" : "bad";
  return badge(tone, status === 0 ? "No answer" : `${status} ${STATUS[status] ?? ""}`.trim());
}

/** `1 line`, `12 lines`, `2,048 fields`. */
export const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

/** An answer as a section of its own. */
export function answerSection(answer, title) {
  const { method, path, status, ms, replayed, failure } = answer;
  const text = answer.body === null ? answer.text : pretty(answer.text);
  return jsonSection(title, text, {
    asked: `${method} ${path}`,
    facts: [statusBadge(answer), replayed && badge("special", "Replayed", "Idempotency-Replayed: true"), element("span", {}, `${ms} ms`)],
    kind: answer.body === null ? "Text" : "JSON",
    body: status === 0 ? failure : highlighted(text),
  });
}

/** A record as its stream has told it. */
export function recordSection(record) {
  const text = pretty(JSON.stringify(record));
  return jsonSection("Record", text, { asked: `GET /v1/content/${record.generation_id}`, facts: [], kind: "JSON", body: highlighted(text) });
}

function jsonSection(title, text, { asked, facts, kind, body }) {
  const copy = element("button", { class: "icon-button", type: "button", title: "Copy", "aria-label": `Copy: ${title}` }, icon("copy"));
  copy.addEventListener("click", () => copyAndSay(text, copy));
  return element(
    "section",
    { class: "answer", "aria-label": title },
    element("div", { class: "answer-head" }, element("h3", {}, title), element("code", { class: "soft route", title: asked }, asked)),
    element(
      "p",
      { class: "facts-line" },
      ...facts,
      element("span", {}, count(countLines(text), "line")),
      badge("", kind),
      element("span", { class: "pane-end" }, copy),
    ),
    element("pre", { tabindex: "0", role: "region", "aria-label": `${title}, body` }, body),
  );
}

/** Copies a text and says so. */
export async function copyAndSay(text, button) {
  if (await copyText(text, button)) toast("Copied to clipboard", "success");
}

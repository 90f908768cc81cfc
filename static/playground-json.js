// JSON as people read it. Numbers stay as they were written: 0.050 says more than 0.05.

import { element } from "./element.js";

const TOKEN = /"(?:\\.|[^"\\])*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[[\]{},:]/g;
const LINES_MAX = 2000;

/** A JSON text with one member on each line. */
export function pretty(text) {
  let depth = 0;
  let out = "";
  let before = "";
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [token] of text.matchAll(TOKEN)) {
    const isFirst = before === "{" || before === "[";
    if (token === "}" || token === "]") {
      depth -= 1;
      out += isFirst ? token : line() + token;
    } else {
      if (isFirst || before === ",") out += line();
      out += token === ":" ? ": " : token;
      if (token === "{" || token === "[") depth += 1;
    }
    before = token;
  }
  return out;
}

export const countLines = (text) => (text === "" ? 0 : text.split("\n").length);

/** A pretty JSON text in colours; of a very long one the beginning. */
export function highlighted(text) {
  const lines = text.split("\n");
  const shown = lines.length > LINES_MAX ? lines.slice(0, LINES_MAX).join("\n") : text;
  const fragment = document.createDocumentFragment();
  let at = 0;
  for (const match of shown.matchAll(TOKEN)) {
    const [token] = match;
    const end = match.index + token.length;
    const made = colored(token, shown[end] === ":");
    if (made === null) continue;
    fragment.append(shown.slice(at, match.index), made);
    at = end;
  }
  fragment.append(shown.slice(at));
  if (shown !== text) {
    const rest = lines.length - LINES_MAX;
    fragment.append(element("span", { class: "json-rest" }, `\n… ${rest} more lines. Copy has them all.`));
  }
  return fragment;
}

function colored(token, isKey) {
  if (token[0] === '"') {
    if (isKey) return element("span", { class: "json-key" }, token);
    const link = /^"(https?:\/\/[^"\\]+)"$/.exec(token)?.[1];
    if (link === undefined) return element("span", { class: "json-string" }, token);
    return element("a", { class: "json-string", href: link, target: "_blank", rel: "noopener noreferrer" }, token);
  }
  if (/^[-\d]/.test(token)) return element("span", { class: "json-number" }, token);
  return /^[a-z]/.test(token) ? element("span", { class: "json-word" }, token) : null;
}

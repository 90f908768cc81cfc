// The request as somebody would write it. The key is a placeholder: it never comes here.

import { byId } from "./element.js";
import { copyAndSay } from "./playground-answer.js";
import { highlighted, pretty } from "./playground-json.js";
import { rove } from "./playground-panes.js";

const WRITERS = { json: asJson, curl: asCurl, typescript: asTypeScript };
const PLACE = byId("main").dataset.url;

const output = byId("code");
const tabs = [...document.querySelectorAll("[data-code]")];
let request = null;
let language = "json";

/** `{ model, media, route, body, idempotencyKey }`. */
export function showCode(asked) {
  request = asked;
  draw();
}

export function asJson({ body }) {
  return pretty(JSON.stringify(body));
}

function asCurl({ route, body, idempotencyKey }) {
  const lines = [
    `curl ${PLACE}${route}`,
    `-H "Authorization: Bearer $BABYSEA_API_KEY"`,
    `-H "Content-Type: application/json"`,
    idempotencyKey && `-H "Idempotency-Key: ${idempotencyKey}"`,
    // The one character that ends a text in single quotes.
    `-d '${asJson({ body }).replaceAll("'", `'\\''`)}'`,
  ];
  return lines.filter(Boolean).join(" \\\n  ");
}

function asTypeScript({ model, body, idempotencyKey }) {
  const inner = asJson({ body }).replaceAll(/^(\s*)"(\w+)":/gm, "$1$2:");
  const options = idempotencyKey ? `, {\n  idempotencyKey: ${JSON.stringify(idempotencyKey)},\n}` : "";
  return `import { BabySea } from 'babysea';

const client = new BabySea({
  apiKey: process.env.BABYSEA_API_KEY!,
  baseUrl: ${JSON.stringify(PLACE)},
});

const { data } = await client.generate(${JSON.stringify(model)}, ${inner}${options});`;
}

function draw() {
  if (request === null) return;
  const text = WRITERS[language](request);
  output.replaceChildren(language === "json" ? highlighted(text) : text);
}

rove(tabs, (tab) => {
  language = tab.dataset.code;
  output.setAttribute("aria-labelledby", tab.id);
  draw();
});
byId("code-copy").addEventListener("click", (event) => {
  if (request !== null) copyAndSay(WRITERS[language](request), event.currentTarget);
});

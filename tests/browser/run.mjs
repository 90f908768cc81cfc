// Every story of the dashboard, in one headless Chromium against one running server.
//
// tests/it/browser.rs starts the server, makes the people, and runs this; see there for what it
// puts into the environment. `node run.mjs <word>` runs the stories of the files with that word.

import { readdirSync } from "node:fs";
import { after } from "node:test";

import { close } from "./support/browser.mjs";

const word = process.argv[2] ?? "";
const stories = new URL("./stories/", import.meta.url);
for (const name of readdirSync(stories).sort()) {
  if (name.endsWith(".mjs") && name.includes(word)) await import(new URL(name, stories));
}
after(close);

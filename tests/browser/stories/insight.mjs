// The pages that show what happened: metrics, logs, activity, generations.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

import { URL_BASE, inspect, story, toast } from "../support/browser.mjs";

const HOME = "/home/paper-lab";

/** A key of the team, made for it. */
async function makeKey(context, name) {
  const page = await context.newPage();
  await page.goto(`${HOME}/api-keys?dialog=add`);
  await page.getByLabel("Name").fill(name);
  await page.getByRole("button", { name: "Add", exact: true }).click();
  const key = await page.getByLabel("API key", { exact: true }).inputValue();
  await page.close();
  return key;
}

async function generate(key, model, fields = {}) {
  const response = await fetch(`${URL_BASE}/v1/generate/image/${model}`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify({ generation_prompt: "a lighthouse made of folded paper", ...fields }),
  });
  const answer = await response.json();
  assert.equal(response.ok, true, JSON.stringify(answer));
  return answer.data.generation_id;
}

async function saved(page, act) {
  const [download] = await Promise.all([page.waitForEvent("download"), act()]);
  return { name: download.suggestedFilename(), text: await readFile(await download.path(), "utf8") };
}

story("requests appear in the log while one looks, and are searched, selected and exported", "ada", async (page, context) => {
  const key = await makeKey(context, "log stories");
  await page.goto(`${HOME}/logs`);
  await generate(key, "sandbox/inline");
  await fetch(`${URL_BASE}/v1/content/nothing`, { headers: { Authorization: `Bearer ${key}` } });
  const search = page.getByRole("searchbox", { name: "Search API requests" });
  await search.fill("log stories");
  await page.waitForURL(/q=log/);
  const rows = page.locator("tbody tr");
  await rows.nth(1).waitFor();
  await inspect(page, "logs");
  await page.getByRole("combobox", { name: "Status" }).selectOption("2xx");
  await page.waitForURL(/status=2xx/);
  await page.getByText("/v1/content/", { exact: false }).waitFor({ state: "detached" });
  assert.match(page.url(), /q=log\+stories/, "the search is kept");
  await page.getByRole("button", { name: "Actions" }).click();
  await page.getByRole("button", { name: "Export as CSV" }).click();
  await toast(page, "Select rows first");
  await page.getByRole("checkbox", { name: "Select all rows of this page" }).check();
  await page.getByRole("button", { name: "Actions (1)" }).click();
  const chosen = await saved(page, () => page.getByRole("button", { name: "Export as JSON" }).click());
  assert.equal(chosen.name, "logs.json");
  const [line] = JSON.parse(chosen.text);
  assert.equal(line.endpoint, "/v1/generate/image");
  assert.match(line.ip_hash, /^[0-9a-f]{64}$/);
  assert.match(line.timestamp, /^\d{4}-\d\d-\d\dT.*Z$/);
  await page.getByRole("button", { name: "Actions (1)" }).click();
  const all = await saved(page, () => page.getByRole("button", { name: "All as CSV" }).click());
  assert.equal(all.name, "logs.csv");
  assert.match(all.text, /^apikey_name,apikey_prefix,method,endpoint,status_code,/);
  assert.equal(all.text.trim().split("\r\n").length, 2, "as it is filtered");
});

story("the audit log tells who did what, in a full view too", "ada", async (page, context) => {
  await makeKey(context, "activity stories");
  await page.goto(`${HOME}/activity?q=activity+stories`);
  await page.getByRole("cell", { name: "api_key.created", exact: true }).waitFor();
  await page.getByRole("rowheader", { name: "Ada Lovelace" }).first().waitFor();
  await inspect(page, "activity");
  await page.getByRole("link", { name: "Open full view" }).click();
  await page.getByRole("link", { name: "Close full view" }).waitFor();
});

story("a generation is watched, canceled, and deleted", "ada", async (page, context) => {
  const key = await makeKey(context, "generation stories");
  const id = await generate(key, "sandbox/polling", { generation_sandbox_latency_ms: 60000 });
  await page.goto(`${HOME}/generations`);
  await page.getByRole("link", { name: id }).waitFor();
  await inspect(page, "generations");
  await page.getByRole("link", { name: id }).click();
  await page.getByText("Being made").waitFor();
  const other = await context.newPage();
  await other.goto(`${HOME}/generations/${id}?dialog=cancel`);
  await other.getByRole("button", { name: "Cancel generation" }).click();
  await toast(other, "Generation canceled");
  await other.close();
  // Nobody has touched this page meanwhile.
  await page.getByText("There are none.").waitFor();
  await page.getByText("Refunded").waitFor();
  await inspect(page, "generation");
  await page.getByRole("link", { name: "Delete" }).click();
  await page.getByRole("dialog", { name: "Delete generation?" }).getByRole("button", { name: "Delete" }).click();
  await toast(page, "Generation deleted");
});

story("outputs are shown on the page of their generation", "ada", async (page, context) => {
  const key = await makeKey(context, "output stories");
  const id = await generate(key, "sandbox/failover", { generation_sandbox_fail_providers: ["sandbox_polling"] });
  await page.goto(`${HOME}/generations/${id}`);
  const picture = page.getByRole("img", { name: "Output 1" });
  await picture.waitFor();
  await picture.scrollIntoViewIfNeeded();
  await page.waitForFunction(() => document.querySelector(".outputs img").naturalWidth > 0);
  await page.getByRole("heading", { name: /2\. sandbox_/ }).waitFor();
});

story("metrics are drawn, and their numbers stand in tables", "cleo", async (page) => {
  await page.goto(HOME);
  assert.equal(await page.title(), "Metrics – BabySea");
  await page.getByRole("heading", { name: "Performance" }).waitFor();
  await page.getByRole("img", { name: /Generations by outcome/ }).waitFor();
  await inspect(page, "metrics");
  await page.getByText("Show data").first().click();
  await page.getByRole("region", { name: "Generations by outcome, as a table" }).waitFor();
  await page.getByRole("link", { name: "24 hours" }).click();
  await page.waitForURL(/range=24h/);
  assert.equal(await page.getByRole("link", { name: "24 hours" }).getAttribute("aria-current"), "page");
});

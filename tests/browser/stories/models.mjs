// The page of models.

import assert from "node:assert/strict";

import { PHONE, inspect, story, tab } from "../support/browser.mjs";

const MODELS = "/home/paper-lab/models";

story("models are listed with what they can do, who runs them, and their price", "cleo", async (page) => {
  await page.goto(MODELS);
  const row = page.getByRole("row", { name: /sandbox\/failover/ });
  await row.getByText("Image", { exact: true }).waitFor();
  assert.match(await row.textContent(), /\$0\.\d{3} \/ image/);
  await inspect(page, "models");
});

story("models are filtered by type, searched and ordered", "cleo", async (page) => {
  await page.goto(MODELS);
  const rows = page.locator("tbody tr");
  const all = await rows.count();
  await tab(page, /^Video/);
  const films = await rows.count();
  assert.ok(films > 0 && films < all);
  assert.deepEqual(new Set(await page.locator("tbody tr td:nth-of-type(1)").allTextContents().then((all) => all.map((it) => it.trim()))), new Set(["Video"]));
  await tab(page, /^All/);
  await page.getByPlaceholder("Search...").fill("failover");
  await page.waitForFunction((all) => document.querySelectorAll("tbody tr").length < all, all);
  for (const text of await rows.allTextContents()) assert.match(text, /failover/);
  await page.goto(`${MODELS}?sort=-price`);
  assert.equal(await rows.count(), all);
});

story("a model shows its price, its providers and what it accepts", "cleo", async (page) => {
  await page.goto(MODELS);
  await page.getByRole("link", { name: "sandbox/failover" }).click();
  await page.getByRole("heading", { level: 1, name: /sandbox\/failover/ }).waitFor();
  await page.getByRole("row", { name: /generation_prompt required/ }).waitFor();
  assert.match(await page.locator("pre").first().textContent(), /curl http.*\/v1\/generate\/image\/sandbox\/failover/);
  await inspect(page, "model");
  assert.equal((await page.goto(`${MODELS}/no/such-model`)).status(), 404);
});

story("a phone shows models", "cleo", async (page) => {
  await page.setViewportSize(PHONE);
  await page.goto(MODELS);
  await page.getByRole("link", { name: "sandbox/failover" }).click();
  await page.getByRole("heading", { level: 1 }).waitFor();
});

// The page of API keys, as the seeds describe it.

import assert from "node:assert/strict";

import { PHONE, URL_BASE, inspect, story, toast } from "../support/browser.mjs";

const KEYS = "/home/paper-lab/api-keys";
const COLUMNS = ["API name", "Prefix", "Last used", "Created", "Status", "IP allowlist"];

/** The row of a key; its menu opened. */
async function menu(page, name) {
  await page.getByRole("button", { name: `Actions for ${name}`, exact: true }).click();
}

/** Makes a key by the dialog, and answers it. */
async function create(page, name, fill = async () => {}) {
  await page.getByRole("link", { name: "Create API key" }).click();
  const dialog = page.getByRole("dialog", { name: "Add API key" });
  await dialog.getByLabel("Name").fill(name);
  await fill(dialog);
  await dialog.getByRole("button", { name: "Add", exact: true }).click();
  const shown = page.getByRole("dialog", { name: "View API key" });
  await shown.waitFor();
  // Its scripts close the dialog; until they are there, that leads to another page.
  await page.waitForLoadState();
  const key = await shown.getByLabel("API key", { exact: true }).inputValue();
  await shown.getByRole("link", { name: "Done" }).click();
  await shown.waitFor({ state: "detached" });
  return key;
}

function status(key) {
  const headers = { Authorization: `Bearer ${key}` };
  return fetch(`${URL_BASE}/v1/library/models`, { headers }).then((response) => response.status);
}

const row = (page, name) => page.getByRole("row", { name: new RegExp(`^${name} `) });

story("an account without keys is told what keys are for", "ada", async (page) => {
  await page.goto("/home/empty-lab/api-keys");
  assert.equal(await page.title(), "API keys – BabySea");
  await page.getByRole("heading", { name: "No data available" }).waitFor();
  await page.getByText("Generate API keys to authenticate requests and start generating contents").waitFor();
  await inspect(page, "api-keys-empty");
});

story("a key is made, shown once, copied, and works", "ada", async (page) => {
  await page.goto(KEYS);
  await page.getByRole("heading", { level: 1, name: "API keys" }).waitFor();
  await page.getByPlaceholder("Search...").waitFor();
  await page.getByTitle("Open full view").waitFor();
  await page.getByRole("link", { name: "Create API key" }).click();
  const dialog = page.getByRole("dialog", { name: "Add API key" });
  await dialog.waitFor();
  const presets = await dialog.locator(".choice strong").allTextContents();
  assert.deepEqual(presets, ["Full Access", "Generate Only", "Read Only", "Monitor Only"]);
  const texts = await dialog.locator(".choice strong + span").allTextContents();
  assert.deepEqual(texts, [
    "All permissions - read, write, delete",
    "Create & read generations + browse models",
    "Read generations, account info, health - no spending",
    "Health checks & model catalog - no account data",
  ]);
  await inspect(page, "api-keys-add");
  await dialog.getByLabel("Name").fill("render farm");
  await dialog.getByText("Generate Only").click();
  await dialog.getByRole("button", { name: "Add", exact: true }).click();

  const shown = page.getByRole("dialog", { name: "View API key" });
  const field = shown.getByLabel("API key", { exact: true });
  const key = await field.inputValue();
  assert.match(key, /^bye_[0-9A-Za-z]{38}$/);
  assert.equal(await field.evaluate((it) => getComputedStyle(it).webkitTextSecurity), "disc");
  await inspect(page, "api-keys-view");
  await shown.getByRole("button", { name: "Show value" }).click();
  assert.equal(await field.evaluate((it) => getComputedStyle(it).webkitTextSecurity), "none");
  await shown.getByRole("button", { name: "Hide value" }).waitFor();
  await shown.getByRole("button", { name: "Copy" }).click();
  await toast(page, "Copied to clipboard");
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), key);
  await page.keyboard.press("Escape");
  assert.ok(await shown.isVisible(), "a slip must not lose the key");
  await shown.getByRole("link", { name: "Done" }).click();
  await shown.waitFor({ state: "detached" });

  assert.equal(await status(key), 200);
  assert.deepEqual((await page.locator("thead th").allTextContents()).slice(0, 6).map((it) => it.trim()), COLUMNS);
  await row(page, "render farm").getByText(`${key.slice(0, 9)}...`).waitFor();
  assert.equal((await page.content()).includes(key), false, "the page still has it");
  await page.reload();
  assert.equal((await page.content()).includes(key), false, "a reload shows it again");
  assert.equal(await row(page, "render farm").count(), 1, "a reload made another one");
});

story("what was typed wrong is told at its field, and kept", "ada", async (page) => {
  await page.goto(KEYS);
  await page.getByRole("link", { name: "Create API key" }).click();
  const dialog = page.getByRole("dialog", { name: "Add API key" });
  await dialog.getByLabel("Name").fill("   ");
  await dialog.getByText("Monitor Only").click();
  await dialog.getByLabel("IP allowlist (optional)").fill("203.0.113.7, 10.0.0.0/8");
  await dialog.getByRole("button", { name: "Add", exact: true }).click();
  await dialog.getByText("“10.0.0.0/8” is no IP address").waitFor();
  assert.equal(await dialog.getByLabel("IP allowlist (optional)").inputValue(), "203.0.113.7, 10.0.0.0/8");
  assert.ok(await dialog.getByLabel("Monitor Only").isChecked());
  await inspect(page, "api-keys-add-refused");
  await dialog.getByLabel("IP allowlist (optional)").fill("203.0.113.7, 2001:db8::1, 198.51.100.2");
  await dialog.getByRole("button", { name: "Add", exact: true }).click();
  await dialog.getByText("Must not be empty.").waitFor();
  await dialog.getByLabel("Name").fill("<b>office</b> & co");
  await dialog.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByRole("dialog", { name: "View API key" }).getByRole("link", { name: "Done" }).click();
  const made = page.getByRole("row", { name: /office/ });
  await made.getByText("198.51.100.2").first().waitFor();
  await made.getByRole("button", { name: "and 2 more addresses" }).click();
  await page.getByText("2001:db8::1").waitFor();
});

story("a key is rotated, and both work through the grace period", "ben", async (page) => {
  await page.goto(KEYS);
  const old = await create(page, "nightly");
  await menu(page, "nightly");
  await page.getByRole("link", { name: "Rotate", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Rotate API key" });
  const grace = dialog.getByLabel("Grace period");
  assert.equal(await grace.inputValue(), "24");
  const hours = await grace.locator("option").evaluateAll((all) => all.map((it) => it.value));
  assert.deepEqual(hours, ["1", "6", "12", "24", "48", "72", "168"]);
  await inspect(page, "api-keys-rotate");
  await grace.selectOption("72");
  await dialog.getByRole("button", { name: "Rotate key" }).click();
  const shown = page.getByRole("dialog", { name: "Key rotated successfully" });
  const key = await shown.getByLabel("New API key").inputValue();
  assert.notEqual(key, old);
  await inspect(page, "api-keys-rotated");
  await shown.getByRole("link", { name: "Done" }).click();
  assert.deepEqual([await status(old), await status(key)], [200, 200]);

  const rotated = page.getByRole("row", { name: /^nightly .*Rotated/ });
  await rotated.getByRole("button", { name: "Actions for nightly" }).click();
  const items = page.locator(".menu:popover-open li");
  await items.first().waitFor();
  assert.deepEqual((await items.allTextContents()).map((it) => it.trim()), ["Rotated", "Revoke", "Delete"]);
});

story("a key is revoked and then deleted", "ben", async (page) => {
  await page.goto(KEYS);
  const key = await create(page, "old laptop");
  await menu(page, "old laptop");
  await page.getByRole("link", { name: "Revoke" }).click();
  const dialog = page.getByRole("dialog", { name: "Revoke API key?" });
  await dialog.getByRole("link", { name: "Cancel" }).click();
  await dialog.waitFor({ state: "detached" });
  assert.equal(await status(key), 200);
  await menu(page, "old laptop");
  await page.getByRole("link", { name: "Revoke" }).click();
  await dialog.getByRole("button", { name: "Revoke" }).click();
  await toast(page, "API key revoked");
  await row(page, "old laptop").getByText("Revoked").waitFor();

  await menu(page, "old laptop");
  const items = page.locator(".menu:popover-open li");
  await items.first().waitFor();
  assert.deepEqual((await items.allTextContents()).map((it) => it.trim()), ["Delete"]);
  await page.getByRole("link", { name: "Delete" }).click();
  const confirm = page.getByRole("dialog", { name: "Delete API key?" });
  await inspect(page, "api-keys-delete");
  await confirm.getByRole("button", { name: "Delete" }).click();
  await toast(page, "API key deleted");
  assert.equal(await row(page, "old laptop").count(), 0);
});

story("keys are searched while typing, ordered, and shown on a page of their own", "ada", async (page) => {
  await page.goto(KEYS);
  await create(page, "aardvark");
  await create(page, "zebra");
  const names = async () => (await page.locator("tbody th").allTextContents()).map((it) => it.trim());
  await page.getByPlaceholder("Search...").fill("ZEB");
  await row(page, "aardvark").waitFor({ state: "detached" });
  assert.deepEqual(await names(), ["zebra"]);
  assert.match(page.url(), /\?q=ZEB$/);
  await page.getByPlaceholder("Search...").fill("nothing like it");
  await page.getByRole("heading", { name: "No results found" }).waitFor();
  await page.getByPlaceholder("Search...").fill("");
  await row(page, "aardvark").waitFor();

  await page.getByRole("link", { name: "API name" }).click();
  await page.locator("th[aria-sort=ascending]").waitFor();
  const up = await names();
  assert.equal(up.indexOf("aardvark") < up.indexOf("zebra"), true);
  await page.getByRole("link", { name: "API name" }).click();
  await page.locator("th[aria-sort=descending]").waitFor();
  assert.deepEqual(await names(), up.reverse());

  await page.getByTitle("Open full view").click();
  await page.getByTitle("Close full view").waitFor();
  assert.equal(await page.locator("nav[aria-label=Main]").count(), 0);
  await inspect(page, "api-keys-full");
  await page.getByTitle("Close full view").click();
  await page.locator("nav[aria-label=Main]").waitFor();
});

story("the page shows by itself what others do", "ada", async (page, context) => {
  await page.goto(KEYS);
  const other = await context.newPage();
  await other.goto(KEYS);
  await create(other, "by somebody else");
  await row(page, "by somebody else").waitFor();
});

story("everything can be done by the keyboard", "ada", async (page) => {
  await page.goto(KEYS);
  await page.getByRole("link", { name: "Create API key" }).focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Add API key" });
  await dialog.waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await page.waitForFunction(() => document.activeElement.textContent.trim() === "Create API key");
  await page.keyboard.press("Enter");
  await dialog.waitFor();
  await page.waitForFunction(() => document.activeElement.id === "name");
  await page.keyboard.type("typed");
  await page.keyboard.press("Enter");
  const shown = page.getByRole("dialog", { name: "View API key" });
  await shown.waitFor();
  // Its scripts move the focus when they are there.
  await page.waitForLoadState();
  await shown.getByRole("link", { name: "Done" }).focus();
  await page.keyboard.press("Enter");
  await shown.waitFor({ state: "detached" });
  await page.waitForLoadState();

  await page.getByRole("button", { name: "Actions for typed" }).focus();
  await page.keyboard.press("Enter");
  await page.locator(".menu:popover-open").waitFor();
  await page.waitForFunction(() => document.activeElement.closest(".menu:popover-open"));
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.waitForFunction(() => document.activeElement.textContent.trim() === "Delete");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Revoke API key?" }).waitFor();
});

story("a member looks on", "cleo", async (page) => {
  await page.goto(KEYS);
  assert.ok(await page.getByRole("button", { name: "Create API key" }).isDisabled());
  for (const button of await page.getByRole("button", { name: /^Actions for/ }).all()) {
    assert.ok(await button.isDisabled());
  }
  await page.goto(`${KEYS}?dialog=add`);
  assert.equal(await page.locator("dialog").count(), 0);
  await inspect(page, "api-keys-member");
});

story("a phone shows keys and makes one", "ada", async (page) => {
  await page.setViewportSize(PHONE);
  await page.goto(KEYS);
  await create(page, "from a phone");
  await menu(page, "from a phone");
  await page.getByRole("link", { name: "Rotate", exact: true }).waitFor();
});

story(
  "without scripts, everything works as well",
  "ada",
  async (page) => {
    await page.goto(KEYS);
    await page.getByRole("link", { name: "Create API key" }).click();
    const dialog = page.getByRole("dialog", { name: "Add API key" });
    await dialog.getByLabel("Name").fill("no scripts");
    await dialog.getByRole("button", { name: "Add", exact: true }).click();
    const shown = page.getByRole("dialog", { name: "View API key" });
    assert.match(await shown.getByLabel("API key", { exact: true }).inputValue(), /^bye_/);
    await shown.getByRole("link", { name: "Done" }).click();
    await menu(page, "no scripts");
    await page.getByRole("link", { name: "Revoke" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await toast(page, "API key revoked");
    await page.getByPlaceholder("Search...").fill("no scripts");
    await page.keyboard.press("Enter");
    await page.waitForURL(/q=no\+scripts/);
    assert.equal(await page.locator("tbody tr").count(), 1);
  },
  { javaScriptEnabled: false },
);

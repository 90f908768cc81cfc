// The frame around all pages.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { PHONE, inspect, story, toast } from "../support/browser.mjs";

const KEYS = "/home/paper-lab/api-keys";

story("a page that does not exist is told in the same look", "ada", async (page) => {
  const response = await page.goto("/home/paper-lab/no-such-page");
  assert.equal(response.status(), 404);
  await page.getByRole("heading", { level: 1, name: "Not found" }).waitFor();
  await inspect(page, "not-found");
});

story("nobody sees the pages of a workspace that is not theirs", "dan", async (page) => {
  const response = await page.goto(KEYS);
  assert.equal(response.status(), 404);
  assert.equal((await page.content()).includes("Paper Lab"), false);
});

story("every page forbids what it does not need", "ada", async (page) => {
  const response = await page.goto(KEYS);
  const headers = response.headers();
  assert.match(headers["content-security-policy"], /^default-src 'none'; script-src 'self'; style-src 'self';/);
  assert.doesNotMatch(headers["content-security-policy"], /unsafe/);
  assert.equal(headers["x-content-type-options"], "nosniff");
  assert.equal(headers["cache-control"], "no-store");
  const style = await page.request.get(await page.locator("link[rel=stylesheet]").getAttribute("href"));
  assert.match(style.headers()["cache-control"], /immutable/);
});

story("the theme is kept, with and without scripts", "ada", async (page, context) => {
  await page.goto(KEYS);
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.getByRole("button", { name: "Your account" }).click();
  await page.getByRole("button", { name: "Dark theme" }).click();
  assert.notEqual(await ground(), light);
  await page.reload();
  assert.notEqual(await ground(), light, "it is not kept");
  const cookies = await context.cookies();
  assert.equal(cookies.find((cookie) => cookie.name === "theme").value, "dark");
});

story("a phone has the navigation behind a button", "ada", async (page) => {
  await page.setViewportSize(PHONE);
  await page.goto(KEYS);
  const models = page.getByRole("link", { name: "Models" });
  assert.equal(await models.isVisible(), false);
  await page.getByRole("button", { name: "Open navigation" }).click();
  await models.waitFor();
  await inspectOpen(page);
  await page.keyboard.press("Escape");
  await models.waitFor({ state: "hidden" });
});

async function inspectOpen(page) {
  const drawer = await page.locator("#sidebar").boundingBox();
  assert.deepEqual([drawer.x, drawer.y, drawer.height], [0, 0, PHONE.height]);
}

story("one goes from one account to another", "ada", async (page) => {
  await page.goto(KEYS);
  await page.getByRole("button", { name: "Switch account" }).click();
  await page.getByRole("link", { name: /Personal account/ }).click();
  await page.waitForURL(/\/home\/personal/);
  await page.getByRole("button", { name: /Switch account, now Personal/ }).waitFor();
});

story("the keyboard reaches the content first, and every page of the sidebar is there", "ada", async (page) => {
  await page.goto(KEYS);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement.id === "main");
  const links = await page.locator("nav[aria-label=Main] a").evaluateAll((all) => all.map((it) => it.getAttribute("href")));
  assert.ok(links.length >= 2);
  for (const href of links) {
    assert.equal((await page.request.get(href)).status(), 200, href);
  }
});

// No page with rows to export is as small as these two rows, with all that is awkward in a table.
const TABLE = `
  <button type="button" popovertarget="sample-actions" data-actions>Actions</button>
  <div class="menu" id="sample-actions" popover data-export="activity" data-table="sample">
    <ul><li><button type="button" data-copy-as="csv">Copy as CSV</button></li>
    <li><button type="button" data-export-as="json">Export as JSON</button></li></ul>
  </div>
  <div id="sample" data-region><table>
    <thead><tr><th><input type="checkbox" data-select-all aria-label="Select all"></th><th>Member</th><th>Amount</th></tr></thead>
    <tbody>
      <tr><td><input type="checkbox" data-select value="1" aria-label="one"></td><td data-field="member">=HYPERLINK("x")</td><td data-field="amount" data-value="-0.052">–0.052 $</td></tr>
      <tr><td><input type="checkbox" data-select value="2" aria-label="two"></td><td data-field="member"> Ada, “A” </td><td data-field="amount" data-value="+cmd">x</td></tr>
    </tbody></table></div>`;

story("selected rows are copied and exported, and spreadsheets run nothing of them", "ada", async (page) => {
  await page.goto(KEYS);
  await page.evaluate((html) => document.querySelector("main").insertAdjacentHTML("beforeend", html), TABLE);
  await page.getByRole("button", { name: "Actions", exact: true }).click();
  await page.getByRole("button", { name: "Copy as CSV" }).click();
  await toast(page, "Select rows first");
  await page.getByLabel("one", { exact: true }).check();
  assert.ok(await page.getByLabel("Select all").evaluate((box) => box.indeterminate));
  await page.getByRole("button", { name: "Actions (1)" }).waitFor();
  await page.getByLabel("Select all").check();
  await page.getByRole("button", { name: "Actions (2)" }).click();
  await page.getByRole("button", { name: "Copy as CSV" }).click();
  await toast(page, "2 copied to clipboard");
  assert.equal(
    await page.evaluate(() => navigator.clipboard.readText()),
    'member,amount\r\n"\'=HYPERLINK(""x"")",-0.052\r\n"Ada, “A”",\'+cmd',
  );
  await page.getByRole("button", { name: "Actions (2)" }).click();
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Export as JSON" }).click(),
  ]);
  assert.equal(file.suggestedFilename(), "activity.json");
  const rows = JSON.parse(readFileSync(await file.path(), "utf8"));
  assert.deepEqual(rows[0], { member: '=HYPERLINK("x")', amount: "-0.052" });
});

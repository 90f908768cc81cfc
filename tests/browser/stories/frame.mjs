// The frame around all pages.

import assert from "node:assert/strict";

import { PHONE, inspect, story } from "../support/browser.mjs";

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
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  const links = await page.locator("nav[aria-label=Main] a").evaluateAll((all) => all.map((it) => it.getAttribute("href")));
  assert.ok(links.length >= 2);
  for (const href of links) {
    assert.equal((await page.request.get(href)).status(), 200, href);
  }
});

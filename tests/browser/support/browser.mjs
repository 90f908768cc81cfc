// A browser for stories: pages of the people that the server knows, what has to hold of every page,
// and pictures of them.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/** Where the server is. */
export const URL_BASE = process.env.BABYSEA_URL;
/** Who there is: the name of each to the cookie of a signed-in browser. */
const PEOPLE = JSON.parse(process.env.BABYSEA_PEOPLE ?? "{}");
const FAILURES = process.env.BABYSEA_FAILURES ?? "failures";
/** Pictures for the documents are made only when they are asked for. */
const PICTURES = process.env.UPDATE_SCREENSHOTS
  ? fileURLToPath(new URL("../../../docs/img/dashboard/", import.meta.url))
  : null;
/** One of each page; dialogs are looked at where a story fails. */
const PICTURED = new Set([
  "activity", "api-keys-full", "api-keys-view", "billing", "console-account", "console-audit",
  "console-overview", "console-users", "credits", "domains", "generation", "generations", "logs",
  "members", "metrics", "model", "models", "notifications-alerts", "playground-failover",
  "playground-film", "profile", "settings", "sign-in", "webhooks-delivery", "webhooks-endpoint",
]);

export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };
/** How long anything may take before it counts as missing. */
const PATIENCE_MS = 20_000;

let browser;

async function launched() {
  browser ??= await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    // Containers have neither the rights for a sandbox nor much shared memory.
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  return browser;
}

export async function close() {
  await browser?.close();
}

/**
 * A story: what one person does, on a page of a browser of their own. It fails with a picture of the
 * page, and when the page reports an error, be it of a script or of the content security policy.
 */
export function story(name, person, tell, options = {}) {
  test(name, async () => {
    const context = await (await launched()).newContext({
      baseURL: URL_BASE,
      viewport: DESKTOP,
      locale: "en-GB",
      timezoneId: "Europe/Berlin",
      permissions: ["clipboard-read", "clipboard-write"],
      ...options,
    });
    context.setDefaultTimeout(PATIENCE_MS);
    if (person) await context.addCookies([{ ...PEOPLE[person], url: URL_BASE }]);
    const page = await context.newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => {
      // A refusal that a story provokes is told here too, as a resource that did not load.
      const expected = message.text().startsWith("Failed to load resource");
      if (message.type() === "error" && !expected) errors.push(message.text());
    });
    try {
      await tell(page, context);
      assert.deepEqual(errors, [], "the page reported errors");
    } catch (error) {
      mkdirSync(FAILURES, { recursive: true });
      const path = join(FAILURES, `${name.replaceAll(/[^a-z0-9]+/gi, "-")}.png`);
      await page.screenshot({ path, fullPage: true }).catch(() => {});
      error.message += `\n  on ${page.url()}, shown in ${path}`;
      throw error;
    } finally {
      await context.close();
    }
  });
}

/**
 * What has to hold of every page, in light and dark, on a desktop and on a phone: axe finds nothing
 * serious, and nothing is wider than the screen. With `UPDATE_SCREENSHOTS`, pictures of what is in
 * `PICTURED` go to docs/img/dashboard under this name.
 */
export async function inspect(page, name) {
  for (const [size, viewport] of [["desktop", DESKTOP], ["phone", PHONE]]) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await accessible(page, `${name}, ${size}, ${colorScheme}`);
      if (PICTURES && PICTURED.has(name) && colorScheme === "light") {
        mkdirSync(PICTURES, { recursive: true });
        const path = join(PICTURES, `${name}-${size}.jpg`);
        await page.screenshot({ path, type: "jpeg", quality: 80 });
      }
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${name} is ${wide} px wider than the ${size}`);
  }
  await page.setViewportSize(DESKTOP);
  await page.emulateMedia({ colorScheme: "light", reducedMotion: null });
}

/** Fails with everything that axe finds and calls serious or critical. */
export async function accessible(page, where) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, {
      resultTypes: ["violations"],
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    });
    const serious = violations.filter((it) => ["serious", "critical"].includes(it.impact));
    return serious.map((it) => `${it.id}: ${it.help}: ${it.nodes.map((node) => node.html).slice(0, 3).join(" | ")}`);
  });
  assert.deepEqual(found, [], `axe, ${where}`);
}

/** The one toast that is shown. A page that came with it takes what is typed once it is loaded. */
export async function toast(page, text) {
  await page.locator(".toast", { hasText: text }).first().waitFor();
  await page.waitForLoadState();
}

/** Goes to the page behind a tab, until that takes what is typed. */
export async function tab(page, name) {
  const link = page.getByRole("link", { name });
  await link.click();
  await link.and(page.locator("[aria-current]")).waitFor();
  await page.waitForLoadState();
}

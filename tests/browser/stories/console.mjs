// The console of those who run the server.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { PHONE, inspect, story, toast } from "../support/browser.mjs";

/** Goes to the page of an account by the search. */
async function open(page, name) {
  await page.goto("/operator/accounts");
  await page.getByRole("searchbox").fill(name);
  await page.getByRole("row", { name: /Paper Lab/ }).waitFor({ state: "detached" });
  await page.getByRole("link", { name }).click();
  await page.getByRole("heading", { level: 1, name }).waitFor();
}

story("an operator looks at how the server does", "olga", async (page) => {
  await page.goto("/operator");
  assert.equal(await page.title(), "Overview – BabySea");
  for (const name of ["Generation actors by state and age", "Endpoint actors by backlog", "Providers"]) {
    await page.getByRole("heading", { name, exact: true }).waitFor();
  }
  await page.getByRole("img", { name: /Units of work in a commit/ }).waitFor();
  await page.getByRole("row", { name: /sandbox_polling/ }).waitFor();
  await inspect(page, "console-overview");
});

story("credit is granted with a reason, from the keyboard", "olga", async (page) => {
  await open(page, "Empty Lab");
  await inspect(page, "console-account");
  await page.getByRole("link", { name: "Grant credit" }).focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Grant credit" });
  await dialog.getByLabel("Amount").fill("1.2345");
  await dialog.getByLabel("Reason").fill("An outage on Monday");
  await inspect(page, "console-grant");
  await page.keyboard.press("Enter");
  await dialog.getByText("An amount has at most three decimals and no sign.").waitFor();
  assert.equal(await dialog.getByLabel("Reason").inputValue(), "An outage on Monday");
  await dialog.getByLabel("Amount").fill("1.250");
  await page.keyboard.press("Enter");
  await toast(page, "1.250 granted");
  await page.getByText("An outage on Monday").waitFor();
});

story("an account is suspended and let in again, and the log tells it", "olga", async (page) => {
  await open(page, "Empty Lab");
  await page.getByRole("link", { name: "Suspend" }).click();
  const dialog = page.getByRole("dialog", { name: "Suspend account?" });
  await inspect(page, "console-suspend");
  await dialog.getByRole("link", { name: "Cancel" }).click();
  assert.equal(await page.getByRole("dialog").count(), 0);
  await page.getByRole("link", { name: "Suspend" }).click();
  await dialog.getByLabel("Reason").fill("Chargeback 17");
  await dialog.getByRole("button", { name: "Suspend" }).click();
  await toast(page, "Account suspended");
  await page.getByRole("link", { name: "End suspension" }).click();
  const end = page.getByRole("dialog", { name: "End suspension?" });
  await end.getByLabel("Reason").fill("Settled");
  await end.getByRole("button", { name: "End suspension" }).click();
  await toast(page, "Suspension ended");

  await page.goto("/operator/audit");
  await inspect(page, "console-audit");
  await page.getByRole("searchbox").fill("chargeback");
  await page.getByRole("row", { name: /account\.resumed/ }).waitFor({ state: "detached" });
  await page.getByRole("checkbox", { name: /Select account\.suspended/ }).check();
  await page.getByRole("button", { name: "Actions (1)" }).click();
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export as JSON" }).click();
  const download = await saved;
  assert.equal(download.suggestedFilename(), "operator-audit.json");
  const [line] = JSON.parse(readFileSync(await download.path(), "utf8"));
  const { timestamp, ...rest } = line;
  assert.match(timestamp, /^\d{4}-\d\d-\d\dT.*Z$/);
  assert.deepEqual(rest, {
    action: "account.suspended",
    to: "Empty Lab",
    by: "olga.operator@example.com",
    before: "active",
    after: "suspended",
    reason: "Chargeback 17",
  });
});

story("users are found, and asked about before anything is done to them", "olga", async (page) => {
  await page.goto("/operator/users");
  await inspect(page, "console-users");
  await page.getByRole("searchbox").fill("cleo");
  await page.getByRole("row", { name: /Ben Nevis/ }).waitFor({ state: "detached" });
  const menu = page.getByRole("button", { name: "Actions for cleo.patra@example.com" });
  await menu.click();
  await page.getByRole("link", { name: "Make operator" }).click();
  await page.getByRole("dialog", { name: "Make operator?" }).waitFor();
  await inspect(page, "console-operator");
  await page.keyboard.press("Escape");
  await menu.click();
  await page.getByRole("link", { name: "End all sessions" }).click();
  await page.getByRole("dialog", { name: "End all sessions?" }).waitFor();
});

story("the console fits a phone and is nobody else's", "dan", async (page) => {
  await page.setViewportSize(PHONE);
  await page.goto("/operator");
  await page.getByRole("heading", { name: "Not found" }).waitFor();
  await page.goto("/operator/accounts");
  await page.getByRole("heading", { name: "Not found" }).waitFor();
});

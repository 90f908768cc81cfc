// Credit, billing, alerts and domains.

import assert from "node:assert/strict";

import { URL_BASE, inspect, story, toast } from "../support/browser.mjs";

const CREDITS = "/home/paper-lab/credits";
const BILLING = "/home/paper-lab/billing";

/** A generation, by a key that is made for it. */
async function generate(context) {
  const page = await context.newPage();
  await page.goto("/home/paper-lab/api-keys?dialog=add");
  await page.getByLabel("Name").fill("money stories");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  const key = await page.getByLabel("API key", { exact: true }).inputValue();
  await page.close();
  const response = await fetch(`${URL_BASE}/v1/generate/image/sandbox/inline`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify({ generation_prompt: "a lighthouse made of folded paper" }),
  });
  const answer = await response.json();
  assert.equal(response.ok, true, JSON.stringify(answer));
  return answer.data.generation_id;
}

story("credits change while one looks, are searched and copied", "ada", async (page, context) => {
  await page.goto(CREDITS);
  assert.equal(await page.title(), "Credits – BabySea");
  const headings = (await page.locator("thead th").allTextContents()).map((it) => it.trim());
  assert.deepEqual(headings.slice(1), ["Type", "Amount", "Balance", "Model", "Generation ID", "Description", "Timestamp"]);
  const heading = page.getByRole("heading", { level: 1 });
  const before = await heading.textContent();
  assert.match(before, /^Credits : \$\d+\.\d{3}$/);
  const id = await generate(context);
  await page.getByRole("row", { name: new RegExp(`Charged.*${id}`) }).waitFor();
  await heading.filter({ hasNotText: before }).waitFor();
  await inspect(page, "credits");
  await page.getByRole("searchbox").fill(id.slice(0, 20));
  await page.getByRole("row", { name: /Added/ }).first().waitFor({ state: "detached" });
  const charged = page.getByRole("row", { name: new RegExp(`Charged.*${id}`) });
  await charged.getByRole("button", { name: "Copy generation ID" }).click();
  await toast(page, "Copied to clipboard");
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), id);
  await charged.getByRole("checkbox").check();
  await page.getByRole("button", { name: "Actions (1)" }).click();
  await page.getByRole("button", { name: "Copy as CSV" }).click();
  await toast(page, "1 copied to clipboard");
  const [head, line] = (await page.evaluate(() => navigator.clipboard.readText())).split("\r\n");
  assert.equal(head, "type,amount,balance,model,generation_id,description,timestamp");
  assert.match(line, new RegExp(`^charge,-0\\.001,\\d+\\.\\d{3},sandbox/inline,${id},`));
});

story("billing shows the plan, and its owner chooses what to be told", "ada", async (page) => {
  await page.goto(BILLING);
  await page.getByRole("heading", { name: "Credit balance" }).waitFor();
  await inspect(page, "billing");
  assert.equal(await page.getByRole("progressbar").count(), 4);
  await page.getByRole("button", { name: "Add threshold" }).click();
  await page.getByLabel("Threshold 2", { exact: true }).fill("none");
  await page.getByRole("button", { name: "Save alerts" }).click();
  await page.getByText("An amount has at most three decimals and no sign.").waitFor();
  await inspect(page, "billing-refused");
  await page.getByLabel("Threshold 2", { exact: true }).fill("0.1");
  await page.getByText("Webhook", { exact: true }).last().click();
  await page.getByRole("button", { name: "Save alerts" }).click();
  await toast(page, "Alerts saved");
  assert.equal(await page.getByLabel("Threshold 2", { exact: true }).inputValue(), "0.100");
  assert.equal(await page.getByRole("checkbox", { name: /^Webhook/ }).isChecked(), true);
  await page.goto("/home/paper-lab/notifications");
  await inspect(page, "notifications-alerts");
  await page.getByRole("button", { name: "Remove threshold 2" }).click();
  await page.getByRole("checkbox", { name: /^Webhook/ }).uncheck();
  await page.getByRole("button", { name: "Save alerts" }).click();
  await toast(page, "Alerts saved");
  await page.getByLabel("Threshold 2", { exact: true }).waitFor({ state: "hidden" });
});

story("a member sees what the owner is told and changes nothing", "cleo", async (page) => {
  await page.goto(BILLING);
  await page.getByText("Only the primary owner can change this.").waitFor();
  assert.equal(await page.getByRole("checkbox", { name: /^Enabled/ }).isDisabled(), true);
  assert.equal(await page.getByRole("button", { name: "Save alerts" }).count(), 0);
  await inspect(page, "billing-member");
});

story("the default endpoint is copied", "cleo", async (page) => {
  await page.goto("/home/paper-lab/domains");
  await inspect(page, "domains");
  const custom = page.getByRole("button", { name: "Custom domain" });
  assert.equal(await custom.isDisabled(), true);
  assert.match(await custom.getAttribute("title"), /later version/);
  await page.getByRole("button", { name: "Copy API URL" }).click();
  await toast(page, "Copied to clipboard");
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `${URL_BASE}/v1`);
});

// The pages of webhook endpoints and of notifications.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";

import { PHONE, URL_BASE, inspect, story, tab, toast } from "../support/browser.mjs";

const WEBHOOKS = "/home/paper-lab/webhooks";

/** An endpoint that answers as it is told, 200 at first, and keeps the events that it got. */
async function receiver() {
  const got = { events: [], status: 200 };
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    got.events.push(JSON.parse(body).webhook_event);
    response.writeHead(got.status).end(got.status === 200 ? "ok" : "<b>down for maintenance</b>");
  });
  server.listen(0, "127.0.0.1");
  server.unref();
  await once(server, "listening");
  got.url = `http://127.0.0.1:${server.address().port}/hooks/babysea`;
  return got;
}

/** Adds an endpoint by the dialog, goes to its page, and answers its secret. */
async function add(page, url) {
  await page.goto(WEBHOOKS);
  await page.getByRole("link", { name: "Add endpoint" }).click();
  const dialog = page.getByRole("dialog", { name: "Add webhook endpoint" });
  await dialog.getByLabel("Endpoint URL").fill(url);
  await dialog.getByRole("button", { name: "Add", exact: true }).click();
  const shown = page.getByRole("dialog", { name: "Webhook secret" });
  const secret = await shown.getByLabel("Signing secret").inputValue();
  await shown.getByRole("link", { name: "Done" }).click();
  await page.getByRole("link", { name: url }).click();
  await page.getByRole("heading", { level: 1, name: url }).waitFor();
  return secret;
}

/** A generation, by a key that is made for it. */
async function generate(context) {
  const page = await context.newPage();
  await page.goto("/home/paper-lab/api-keys?dialog=add");
  await page.getByLabel("Name").fill("webhook stories");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  const key = await page.getByLabel("API key", { exact: true }).inputValue();
  await page.close();
  const response = await fetch(`${URL_BASE}/v1/generate/image/sandbox/inline`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify({ generation_prompt: "a lighthouse made of folded paper" }),
  });
  assert.equal(response.ok, true, await response.text());
}

story("an account without endpoints is told what they are for", "ada", async (page) => {
  await page.goto("/home/empty-lab/webhooks");
  assert.equal(await page.title(), "Webhook – BabySea");
  await page.getByRole("heading", { name: "No endpoints yet" }).waitFor();
  await inspect(page, "webhooks-empty");
});

story("an endpoint is added, and its secret is shown once", "ada", async (page) => {
  const { url } = await receiver();
  await page.goto(WEBHOOKS);
  await page.getByRole("link", { name: "Add endpoint" }).click();
  const dialog = page.getByRole("dialog", { name: "Add webhook endpoint" });
  await dialog.waitFor();
  const choices = await dialog.locator(".choice").evaluateAll((all) =>
    all.map((it) => [it.querySelector("strong").textContent, it.querySelector("input").checked]),
  );
  assert.deepEqual(choices.slice(0, 5), [
    ["Generation Started", true],
    ["Generation Completed", true],
    ["Generation Failed", true],
    ["Generation Canceled", true],
    ["Low Balance", false],
  ]);
  await inspect(page, "webhooks-add");
  await dialog.getByLabel("Endpoint URL").fill("ftp://example.com/");
  await dialog.getByText("Generation Canceled").click();
  await dialog.getByRole("button", { name: "Add", exact: true }).click();
  await dialog.getByText("The URL must start with https://.").waitFor();
  assert.equal(await dialog.getByLabel("Endpoint URL").inputValue(), "ftp://example.com/");
  assert.equal(await dialog.getByLabel("Generation Canceled").isChecked(), false);
  await inspect(page, "webhooks-add-refused");
  const secret = await add(page, url);
  assert.match(secret, /^whsec_[0-9A-Za-z]{32}$/);
  assert.equal((await page.content()).includes(secret), false, "the page still has it");
  await page.goto(WEBHOOKS);
  const headings = (await page.locator("thead th").allTextContents()).map((it) => it.trim());
  assert.deepEqual(headings.slice(0, 3), ["Endpoint", "Status", "Created"]);
  await page.getByRole("row", { name: new RegExp(url) }).getByText("Enabled").waitFor();
});

story("a test event is sent, and what comes of it is shown", "ada", async (page) => {
  const hook = await receiver();
  await add(page, hook.url);
  await page.getByRole("button", { name: "Send test event" }).click();
  const shown = page.getByRole("dialog", { name: "webhook.test" });
  await shown.getByText("The endpoint has taken the test event").waitFor();
  assert.deepEqual(hook.events, ["webhook.test"]);
  await shown.getByRole("link", { name: "Close", exact: true }).last().click();
  hook.status = 503;
  await page.getByRole("button", { name: "Send test event" }).click();
  await shown.getByText("The endpoint has not taken the test event").waitFor();
  await shown.getByText("down for maintenance").waitFor();
  await inspect(page, "webhooks-delivery");
});

story("what is queued is delivered when told, while one looks on", "ada", async (page, context) => {
  const hook = await receiver();
  await add(page, hook.url);
  await page.getByRole("switch", { name: "Endpoint enabled" }).click();
  await toast(page, "Endpoint disabled");
  await generate(context);
  // The banner comes by itself.
  await page.getByText("2 events queued").waitFor();
  assert.ok(await page.getByRole("button", { name: "Deliver queued events" }).isDisabled());
  await page.getByRole("switch", { name: "Endpoint enabled" }).click();
  await toast(page, "Endpoint enabled");
  await inspect(page, "webhooks-queued");
  await page.getByRole("button", { name: "Deliver queued events" }).click();
  await toast(page, "2 events are sent again");
  await page.getByRole("row", { name: /generation\.completed replay .*200/ }).waitFor();
  assert.deepEqual(hook.events, ["generation.started", "generation.completed"]);
  const headings = (await page.locator("thead th").allTextContents()).map((it) => it.trim());
  const documented = ["Event", "Generation ID", "Payload", "Status code", "Error", "Attempts", "Timestamp"];
  assert.deepEqual(headings.slice(0, 7), documented);
  await inspect(page, "webhooks-endpoint");

  await page.getByRole("button", { name: "Actions for generation.started" }).first().click();
  await page.getByRole("button", { name: "Replay" }).click();
  await toast(page, "1 event is sent again");
  await tab(page, "Delivered");
  await page.getByPlaceholder("Search...").fill("completed");
  await page.getByRole("row", { name: /generation\.started/ }).first().waitFor({ state: "detached" });
  assert.match(page.url(), /status=delivered/);
  await page.getByTitle("Payload and tries").first().click();
  await page.getByRole("dialog").getByText('"webhook_event": "generation.completed"').waitFor();
});

story("events are edited, the secret is rotated, the endpoint deleted", "ben", async (page) => {
  const hook = await receiver();
  const before = await add(page, hook.url);
  await page.getByRole("link", { name: "Edit", exact: true }).click();
  const edit = page.getByRole("dialog", { name: "Edit event types" });
  await edit.getByText("Generation Started").click();
  await edit.getByText("Low Balance").click();
  await edit.getByRole("button", { name: "Save" }).click();
  await toast(page, "Event types saved");
  const events = await page.locator(".card .chips .chip").allTextContents();
  assert.equal(events.includes("credits.low_balance") && !events.includes("generation.started"), true);
  await page.getByRole("link", { name: "Rotate secret" }).click();
  const rotate = page.getByRole("dialog", { name: "Rotate secret" });
  await inspect(page, "webhooks-rotate");
  await rotate.getByLabel("The old secret signs too for").selectOption("24");
  await rotate.getByRole("button", { name: "Rotate secret" }).click();
  const shown = page.getByRole("dialog", { name: "Webhook secret" });
  assert.notEqual(await shown.getByLabel("Signing secret").inputValue(), before);
  await shown.getByRole("link", { name: "Done" }).click();
  await page.getByRole("button", { name: "More actions for this endpoint" }).click();
  await page.getByRole("link", { name: "Replay a time range" }).click();
  await inspect(page, "webhooks-replay");
  await page.getByRole("dialog").getByRole("button", { name: "Replay" }).click();
  await toast(page, "There was nothing to send");
  await page.getByRole("button", { name: "More actions for this endpoint" }).click();
  await page.getByRole("link", { name: "Delete endpoint" }).click();
  await page.getByRole("dialog", { name: "Delete endpoint?" }).getByRole("button", { name: "Delete" }).click();
  await toast(page, "Endpoint deleted");
  assert.equal(await page.getByRole("link", { name: hook.url }).count(), 0);
});

story("a member looks on", "cleo", async (page) => {
  await page.goto(WEBHOOKS);
  assert.ok(await page.getByRole("button", { name: "Add endpoint" }).isDisabled());
  await inspect(page, "webhooks-member");
  await page.locator("tbody th a").first().click();
  await page.getByRole("heading", { name: "Webhook events" }).waitFor();
  assert.equal(await page.locator("main form[method=post]").count(), 0);
});

story("a phone shows an endpoint", "ada", async (page) => {
  await page.setViewportSize(PHONE);
  await page.goto(WEBHOOKS);
  await page.locator("tbody th a").first().click();
  await page.getByRole("button", { name: "Send test event" }).waitFor();
});

story("the bell leads to the notifications", "ada", async (page) => {
  await page.goto("/home/empty-lab/webhooks");
  await page.getByRole("link", { name: "Notifications" }).first().click();
  await page.getByRole("heading", { name: "No notifications" }).waitFor();
  await inspect(page, "notifications-empty");
});

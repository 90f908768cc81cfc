// The playground: nobody signs in, and the key stays in the memory of the page.

import assert from "node:assert/strict";

import { DESKTOP, PHONE, inspect, story, toast } from "../support/browser.mjs";

/** A Full Access key. */
const KEY = process.env.BABYSEA_KEY;
/** Long enough to be looked at, and given up. */
const SLOW_MS = "60000";

const send = (page) => page.getByRole("button", { name: "Send request" });
const field = (page, name) => page.locator(`[data-field="${name}"]`).getByRole("textbox").first();
const life = (page) => page.getByRole("region", { name: "Timeline" });

async function open(page, model) {
  await page.goto(`/playground?model=${model}`);
  await page.locator("#route", { hasText: model }).waitFor();
}

async function lock(page, key = KEY) {
  await page.getByLabel("API key", { exact: true }).fill(key);
  await page.getByRole("button", { name: "Lock API key", exact: true }).click();
}

async function ready(page, model, prompt = "a lighthouse made of folded paper") {
  await open(page, model);
  await lock(page);
  await field(page, "generation_prompt").fill(prompt);
}

const number = (page, name, value) => page.locator(`#field-${name}`).fill(value);

story("a picture is generated, and shown with its life and its record", null, async (page) => {
  await open(page, "sandbox/inline");
  assert.equal(await send(page).isDisabled(), true);
  await page.getByText("Fill required: generation_prompt").waitFor();
  await field(page, "generation_prompt").fill("a lighthouse made of folded paper");
  await page.getByText("Lock an API key to send.").waitFor();
  await inspect(page, "playground");
  await lock(page);
  await page.getByText(/^Estimate 0\.001 credits · balance [\d,.]+ credits/).waitFor();
  await number(page, "generation_output_number", "2");
  await page.getByText(/^Estimate 0\.002 credits/).waitFor();
  const idempotencyKey = await page.getByLabel("Idempotency-Key", { exact: true }).inputValue();
  await send(page).click();
  await life(page).getByText("Succeeded").waitFor();
  await page.waitForFunction(() => {
    const images = [...document.querySelectorAll(".output img")];
    return images.length === 2 && images.every((image) => image.naturalWidth > 0);
  });
  await page.locator("#response-facts", { hasText: /200 OK\s*\d+ ms/ }).waitFor();
  const answer = JSON.parse(await page.getByRole("region", { name: "Answer, body" }).textContent());
  assert.equal(answer.data.generation_initialized, true);
  const record = JSON.parse(await page.getByRole("region", { name: "Record, body" }).textContent());
  assert.equal(record.generation_status, "succeeded");
  await inspect(page, "playground-picture");
  // Settled, so the next request is another one; and with the key of the first it is the same.
  const next = page.getByLabel("Idempotency-Key", { exact: true });
  assert.notEqual(await next.inputValue(), idempotencyKey);
  await next.fill(idempotencyKey);
  await send(page).click();
  await page.getByText("Replayed", { exact: true }).waitFor();
  await life(page).getByText(record.generation_id).waitFor();
});

story("a film is generated, and plays", null, async (page) => {
  await ready(page, "sandbox/video");
  await page.getByText("Fill required: generation_duration").waitFor();
  await page.getByText("Choose a duration to see what this costs.").waitFor();
  await page.locator("#field-generation_duration").selectOption("2");
  await page.getByText(/^Estimate 0\.004 credits/).waitFor();
  await send(page).click();
  await page.waitForFunction(() => {
    const film = document.querySelector(".output video");
    return film !== null && !film.paused && film.currentTime > 0.2;
  });
  await inspect(page, "playground-film");
});

story("the timeline follows a generation from one provider to the next", null, async (page) => {
  await ready(page, "sandbox/failover");
  await number(page, "generation_sandbox_latency_ms", "4000");
  await page.getByLabel("sandbox_polling", { exact: true }).check();
  await page.locator("#field-generation_provider_order").selectOption("sandbox_polling, sandbox_webhook, sandbox_inline");
  await send(page).click();
  const item = (provider) => life(page).getByRole("listitem").filter({ hasText: provider });
  await item("sandbox_polling").getByText("Failed").waitFor();
  await item("sandbox_polling").getByText(/\(BSE\d{4}\)/).waitFor();
  await item("sandbox_webhook").getByText("Running").waitFor();
  await item("sandbox_inline").getByText("Next, should it be needed").waitFor();
  await item("sandbox_webhook").getByText("Used").waitFor();
  await item("sandbox_inline").getByText("Not needed").waitFor();
  await life(page).getByText("Succeeded").waitFor();
  await inspect(page, "playground-failover");
});

story("a stream that breaks is made up for by asking", null, async (page) => {
  await page.route("**/events?*", (route) => route.abort());
  await ready(page, "sandbox/polling");
  await number(page, "generation_sandbox_latency_ms", "500");
  await send(page).click();
  await life(page).getByText("Succeeded").waitFor();
  await life(page).getByRole("listitem").filter({ hasText: "sandbox_polling" }).getByText("Used").waitFor();
});

story("a generation is canceled, looked up and deleted", null, async (page) => {
  await ready(page, "sandbox/polling");
  await number(page, "generation_sandbox_latency_ms", SLOW_MS);
  await send(page).click();
  await life(page).getByText("Running").waitFor();
  await page.locator("#pane-response").getByRole("button", { name: "Cancel", exact: true }).click();
  await toast(page, "Generation canceled");
  await life(page).getByText("The credit is refunded.").waitFor();
  const id = await page.locator(".life-head code").textContent();

  await page.getByText("Look up, cancel or delete a generation").click();
  await page.getByLabel("Generation ID").fill("not-an-id");
  await page.getByRole("button", { name: "Get info" }).click();
  await page.getByText("A generation ID is a UUID.").waitFor();
  await page.getByLabel("Generation ID").fill(id);
  await page.getByRole("button", { name: "Get info" }).click();
  const body = page.getByRole("region", { name: "Get info, body" });
  assert.equal(JSON.parse(await body.textContent()).data.generation_status, "canceled");
  await inspect(page, "playground-management");
  const remove = page.locator("#manage-form").getByRole("button", { name: "Delete" });
  await remove.click();
  await page.getByRole("button", { name: "Keep it" }).click();
  await remove.click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await toast(page, "Generation deleted, with 0 files");
  await page.getByRole("button", { name: "Get info" }).click();
  await page.getByText("404 Not Found").waitFor();
});

story("what does not fit is told beside the field, here and by the server", null, async (page) => {
  await ready(page, "sandbox/inline");
  await number(page, "generation_output_number", "9");
  await page.getByText("From 1 to 4.").waitFor();
  await page.getByText("Correct: generation_output_number").waitFor();
  assert.equal(await send(page).isDisabled(), true);
  await page.getByRole("button", { name: "Reset" }).click();
  await field(page, "generation_prompt").fill("a".repeat(5001));
  await page.getByText("At most 5,000 characters.").waitFor();
  await field(page, "generation_prompt").fill("a boat");
  await page.getByLabel("URL 1").fill("ftp://example.com/a.png");
  await page.getByText("An address that begins with https:// or http://.").waitFor();
  // Only the server can know that nobody answers there.
  await page.getByLabel("URL 1").fill("http://127.0.0.1:9/a.png");
  await send(page).click();
  await page.locator("#response-facts", { hasText: "422" }).waitFor();
  await life(page).getByText("Nothing was generated, and nothing is paid.").waitFor();
  await page.locator(`[data-field="generation_input_file"].invalid`).waitFor();
  await page.getByRole("region", { name: "Answer, body" }).getByText('"BSE2009"').first().waitFor();
});

story("a wrong key is refused, and a strange one is not even sent", null, async (page) => {
  await ready(page, "sandbox/inline");
  const field = page.getByLabel("API key", { exact: true });
  await page.getByRole("button", { name: "Unlock API key" }).click();
  assert.equal(await field.inputValue(), "", "an unlocked key is forgotten");
  for (const strange of ["bye_a\u0007b", "bye_a\u202eb", "bye_a\u200bb", "bye_ä"]) {
    await lock(page, strange);
    await page.getByRole("alert").filter({ hasText: "The key contains" }).waitFor();
    assert.equal(await send(page).isDisabled(), true);
  }
  await lock(page, `${KEY.slice(0, -1)}${KEY.endsWith("A") ? "B" : "A"}`);
  await page.getByText("Invalid or expired API key. (BSE1002)").first().waitFor();
  await send(page).click();
  await page.locator("#response-facts", { hasText: "401 Unauthorized" }).waitFor();
});

story("the key is in no storage, no address and no document, and gone after a reload", null, async (page, context) => {
  const told = [];
  page.on("request", (request) => told.push(request.url(), request.postData() ?? "", request.headers().referer ?? ""));
  page.on("console", (message) => told.push(message.text()));
  await ready(page, "sandbox/inline");
  await send(page).click();
  await life(page).getByText("Succeeded").waitFor();
  for (const tab of ["curl", "TypeScript"]) await page.getByRole("tab", { name: tab }).click();
  const kept = await page.evaluate(() => {
    const values = [...document.querySelectorAll("input, textarea")].map((it) => `${it.value} ${it.defaultValue}`);
    return JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie, location.href, history.state, values, window.name]);
  });
  const places = [kept, await page.content(), ...told, JSON.stringify(await context.storageState({ indexedDB: true }))];
  for (const place of places) assert.equal(place.includes(KEY), false);
  assert.deepEqual(JSON.parse(await page.evaluate(() => sessionStorage.getItem("playground"))), { media: "image", model: "sandbox/inline" });
  assert.equal(await page.evaluate(() => sessionStorage.length), 1);
  await page.goto("/playground");
  await page.locator("#route", { hasText: "sandbox/inline" }).waitFor();
  assert.equal(await page.getByLabel("API key", { exact: true }).inputValue(), "");
  assert.equal(await field(page, "generation_prompt").inputValue(), "");
  await page.getByText("Lock an API key to see what this costs.").waitFor();
});

story("the request is written as curl and TypeScript, with a placeholder for the key", null, async (page) => {
  await ready(page, "bfl/flux-schnell", "it's a boat");
  const code = page.locator("#code");
  assert.equal(JSON.parse(await code.textContent()).generation_prompt, "it's a boat");
  await page.getByRole("tab", { name: "JSON" }).press("ArrowRight");
  const curl = await code.textContent();
  assert.match(curl, /^curl http.*\/v1\/generate\/image\/bfl\/flux-schnell/);
  assert.match(curl, /"Authorization: Bearer \$BABYSEA_API_KEY"/);
  assert.match(curl, /it'\\''s a boat/);
  await page.getByRole("button", { name: "Copy the code" }).click();
  await toast(page, "Copied to clipboard");
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), curl);
  await page.getByRole("tab", { name: "TypeScript" }).click();
  const typescript = await code.textContent();
  assert.match(typescript, /client\.generate\("bfl\/flux-schnell", \{\n  generation_prompt: "it's a boat",/);
  assert.match(typescript, /apiKey: process\.env\.BABYSEA_API_KEY!/);
});

story("a picture is generated with the keyboard alone", null, async (page) => {
  await page.goto("/playground");
  const focus = (locator) => page.waitForFunction((it) => document.activeElement === it, locator);
  const tabTo = async (locator) => {
    for (let presses = 0; presses < 60; presses += 1) {
      if (await locator.evaluate((it) => it === document.activeElement)) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`no way to ${locator}`);
  };
  await tabTo(page.locator("#model-button"));
  await page.keyboard.press("Enter");
  await focus(await page.getByRole("combobox", { name: "Search models" }).elementHandle());
  await page.keyboard.type("sandbox");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  await page.locator("#route", { hasText: "sandbox/inline" }).waitFor();
  await focus(await page.locator("#model-button").elementHandle());
  await tabTo(page.getByLabel("API key", { exact: true }));
  await page.keyboard.type(KEY);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Unlock API key" }).waitFor();
  const splitter = page.getByRole("separator", { name: "Width of Schema" });
  await tabTo(splitter);
  const before = await page.locator("#pane-schema").evaluate((pane) => pane.clientWidth);
  await page.keyboard.press("ArrowRight");
  assert.ok((await page.locator("#pane-schema").evaluate((pane) => pane.clientWidth)) > before);
  await tabTo(field(page, "generation_prompt"));
  await page.keyboard.type("a boat");
  await tabTo(send(page));
  await page.keyboard.press("Enter");
  await life(page).getByText("Succeeded").waitFor();
});

story("models are found by lab and identifier", null, async (page) => {
  await page.goto("/playground");
  await page.locator("#model-button").click();
  const options = page.getByRole("option");
  const images = await options.count();
  await page.getByRole("combobox", { name: "Search models" }).fill("bfl schnell");
  assert.deepEqual(await options.locator(".mono").allTextContents(), ["bfl/flux-schnell"]);
  await page.getByRole("combobox", { name: "Search models" }).fill("nothing like it");
  await page.getByText("Nothing matches.").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("radio", { name: "Video" }).check();
  await page.locator("#model-button").click();
  assert.ok((await options.count()) > 0 && (await options.count()) !== images);
  await inspect(page, "playground-models");
});

story("a phone shows one part at a time", null, async (page) => {
  await page.setViewportSize(PHONE);
  await ready(page, "sandbox/inline");
  assert.equal(await page.getByRole("heading", { name: "Response" }).isVisible(), false);
  await page.getByRole("tab", { name: "Schema" }).click();
  await page.getByText("1 required").waitFor();
  await page.getByRole("tab", { name: "Input" }).click();
  await send(page).click();
  await life(page).getByText("Succeeded").waitFor();
  await page.locator(".output img").waitFor();
  await page.setViewportSize(DESKTOP);
});

story("the playground is small and quick", null, async (page) => {
  let bytes = 0;
  const sizes = [];
  page.on("requestfinished", (request) => sizes.push(request.sizes().then((it) => (bytes += it.responseBodySize))));
  await open(page, "sandbox/inline");
  await Promise.all(sizes);
  assert.ok(bytes < 100_000, `it weighs ${bytes} bytes`);
});

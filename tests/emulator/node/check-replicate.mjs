// The official replicate client against the emulator.

import assert from "node:assert/strict";
import Replicate, { validateWebhook } from "replicate";
import { Receiver, URL_BASE, bytes, isPng } from "./receiver.mjs";

const client = new Replicate({
  auth: "r8_any",
  baseUrl: `${URL_BASE}/replicate/v1`,
  useFileOutput: false,
});
const model = "black-forest-labs/flux-schnell";

// Create and wait.
let prediction = await client.predictions.create({
  model,
  input: { prompt: "a fox", output_format: "png" },
});
assert.equal(prediction.status, "starting");
prediction = await client.wait(prediction, { interval: 100 });
assert.equal(prediction.status, "succeeded");
assert.ok(isPng(await bytes(prediction.output[0])));

// The whole in one call.
const output = await client.run(model, { input: { prompt: "a hen", num_outputs: 2 } });
assert.equal(output.length, 2);

// Cancel.
prediction = await client.predictions.create({ model, input: { prompt: "a crab" } });
await client.predictions.cancel(prediction.id);
assert.equal((await client.predictions.get(prediction.id)).status, "canceled");

// Errors.
await assert.rejects(
  client.predictions.create({ model, input: { prompt: "a", num_outputs: 9 } }),
  (error) => error.response.status === 422,
);
await assert.rejects(client.run(model, { input: { prompt: "nsfw" } }), /NSFW/);

// Webhooks, checked by the client itself.
const receiver = await new Receiver().start();
await client.predictions.create({
  model,
  input: { prompt: "a bell" },
  webhook: receiver.url,
  webhook_events_filter: ["completed"],
});
const { headers, body } = await receiver.next();
const { key } = await client.webhooks.default.secret.get();
const signed = {
  id: headers["webhook-id"],
  timestamp: headers["webhook-timestamp"],
  signature: headers["webhook-signature"],
  secret: key,
};
assert.equal(JSON.parse(body).status, "succeeded");
assert.equal(await validateWebhook({ ...signed, body }), true);
assert.equal(await validateWebhook({ ...signed, body: `${body} ` }), false);
receiver.stop();
console.log("replicate works");

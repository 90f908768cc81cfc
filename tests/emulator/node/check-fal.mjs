// The official fal client against the emulator. Its hosts are fixed, so each request is sent
// elsewhere by a middleware, which is how its proxies work too.

import assert from "node:assert/strict";
import { createHash, createPublicKey, verify } from "node:crypto";
import { createFalClient } from "@fal-ai/client";
import { Receiver, URL_BASE, bytes, isPng } from "./receiver.mjs";

const client = createFalClient({
  credentials: "id:secret",
  requestMiddleware: async (request) => ({
    ...request,
    url: request.url
      .replace("https://queue.fal.run", `${URL_BASE}/fal/queue`)
      .replace("https://fal.run", `${URL_BASE}/fal/run`),
  }),
});
const model = "fal-ai/flux/schnell";

// Submit, watch, fetch.
const seen = new Set();
const result = await client.subscribe(model, {
  input: { prompt: "a fox", image_size: "square", output_format: "png" },
  pollInterval: 50,
  onQueueUpdate: ({ status }) => seen.add(status),
});
assert.ok(seen.has("IN_QUEUE") || seen.has("IN_PROGRESS"));
assert.ok(seen.has("COMPLETED"));
assert.equal(result.data.images[0].width, 512);
assert.ok(isPng(await bytes(result.data.images[0].url)));

// The whole in one call.
const run = await client.run(model, { input: { prompt: "a hen", num_images: 2 } });
assert.equal(run.data.images.length, 2);

// Cancel.
const { request_id: requestId } = await client.queue.submit(model, { input: { prompt: "a crab" } });
await client.queue.cancel(model, { requestId });
assert.equal((await client.queue.status(model, { requestId })).status, "COMPLETED");
await assert.rejects(client.queue.result(model, { requestId }), { status: 400 });

// Errors: wrong input shows up in the result.
const wrong = await client.queue.submit(model, { input: { image_size: "huge" } });
await client.queue.subscribeToStatus(model, { requestId: wrong.request_id, pollInterval: 50 });
await assert.rejects(client.queue.result(model, { requestId: wrong.request_id }), (error) => {
  assert.deepEqual(error.fieldErrors.map(({ loc }) => loc.at(-1)), ["prompt", "image_size"]);
  return error.status === 422;
});
await assert.rejects(client.queue.submit("fal-ai/nothing", { input: {} }), { status: 404 });

// Webhooks: the client has no verifier, so theirs is done as they document it.
const receiver = await new Receiver().start();
await client.queue.submit(model, { input: { prompt: "a bell" }, webhookUrl: receiver.url });
const { headers, body } = await receiver.next();
const message = [
  headers["x-fal-webhook-request-id"],
  headers["x-fal-webhook-user-id"],
  headers["x-fal-webhook-timestamp"],
  createHash("sha256").update(body).digest("hex"),
].join("\n");
const { keys } = await (await fetch(`${URL_BASE}/fal/rest/.well-known/jwks.json`)).json();
const key = createPublicKey({ key: keys[0], format: "jwk" });
const signature = Buffer.from(headers["x-fal-webhook-signature"], "hex");
assert.equal(JSON.parse(body).status, "OK");
assert.equal(verify(null, Buffer.from(message), key, signature), true);
assert.equal(verify(null, Buffer.from(`${message} `), key, signature), false);
receiver.stop();
console.log("fal works");

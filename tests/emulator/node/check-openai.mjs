// The official openai client against the emulator.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { URL_BASE, isMp4, isPng } from "./receiver.mjs";

const client = new OpenAI({
  apiKey: "sk-any",
  baseURL: `${URL_BASE}/openai/v1`,
  maxRetries: 0,
});

// Pictures, always as base64.
const images = await client.images.generate({ model: "gpt-image-2", prompt: "a fox" });
assert.equal(images.size, "1024x1024");
assert.ok(isPng(Buffer.from(images.data[0].b64_json, "base64")));

// Films.
let video = await client.videos.create({ model: "sora-2", prompt: "a fox", seconds: "4" });
assert.equal(video.object, "video");
const end = Date.now() + 60_000;
while (video.status === "queued" || video.status === "in_progress") {
  assert.ok(Date.now() < end, "the film was not done in time");
  video = await client.videos.retrieve(video.id);
}
assert.equal(video.status, "completed");
const content = await client.videos.downloadContent(video.id);
assert.ok(isMp4(Buffer.from(await content.arrayBuffer())));
await client.videos.delete(video.id);

// Errors.
await assert.rejects(
  client.images.generate({ model: "gpt-image-2", prompt: "nsfw" }),
  { status: 400, code: "moderation_blocked" },
);
await assert.rejects(
  client.images.generate({ model: "gpt-image-1", prompt: "a fox" }),
  { status: 404, code: "model_not_found" },
);
await assert.rejects(client.videos.retrieve("video_0"), { status: 404 });
console.log("openai works");

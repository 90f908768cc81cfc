// The official Runway client against the emulator. It polls every six seconds.

import assert from "node:assert/strict";
import RunwayML, { TaskFailedError } from "@runwayml/sdk";
import { URL_BASE, bytes, isPng } from "./receiver.mjs";

const client = new RunwayML({
  apiKey: "key_any",
  baseURL: `${URL_BASE}/runway`,
  maxRetries: 0,
});
const picture = { model: "gen4_image", ratio: "1280:720" };

// Create and wait, and fail, side by side.
const [task, failure] = await Promise.all([
  client.textToImage.create({ ...picture, promptText: "a fox" }).waitForTaskOutput(),
  client.textToImage
    .create({ ...picture, promptText: "nsfw" })
    .waitForTaskOutput()
    .catch((error) => error),
]);
assert.equal(task.status, "SUCCEEDED");
assert.ok(isPng(await bytes(task.output[0])));
assert.ok(failure instanceof TaskFailedError);
assert.equal(failure.taskDetails.failureCode, "SAFETY.INPUT.TEXT");

// Cancel: the task is gone.
const { id } = await client.imageToVideo.create({
  model: "gen4_turbo",
  promptImage: "https://a.example/b.png",
  ratio: "1280:720",
  duration: 2,
});
await client.tasks.delete(id);
await assert.rejects(client.tasks.retrieve(id), { status: 404 });

// Errors.
await assert.rejects(client.textToImage.create({ ...picture, ratio: "1:1", promptText: "a" }), {
  status: 400,
});
console.log("runway works");

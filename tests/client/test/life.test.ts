/** A whole life, in one go, as an application leads it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BabySeaError } from "../src/errors.js";
import type { Initialized } from "../src/types.js";
import { client, newAccount } from "./server.js";

const PROMPT = { generation_prompt: "a lighthouse made of folded paper" };

async function refusal(promise: Promise<unknown>): Promise<BabySeaError> {
  const error: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(error instanceof BabySeaError, String(error));
  return error;
}

test("an application looks around, pays for pictures and films, and tidies up", async () => {
  const account = await newAccount("enterprise", "1");
  const sea = client({ apiKey: account.key });

  const status = await sea.status();
  assert.equal(status.message, "API connected successfully");
  assert.equal(status.data.account_id, account.id);
  assert.equal(status.data.apikey_prefix, account.key.slice(0, 9));
  assert.equal((await sea.account()).data.account_is_personal, false);
  assert.equal((await sea.billing()).data.billing_credit_balance, 1);

  const { data: library } = await sea.libraryModels();
  const failover = library.models.find((it) => it.model_identifier === "sandbox/failover")!;
  assert.equal(library.models_total, library.models.length);
  const { data: providers } = await sea.libraryProviders();
  assert.equal(providers.providers_total, providers.providers.length);

  const { data: price } = await sea.estimate("sandbox/failover", { count: 2 });
  assert.deepEqual(
    [price.cost_per_generation, price.cost_total_consumed, price.credit_balance_max_affordable],
    [0.001, 0.002, 1000],
  );

  // A picture, whose first provider refuses.
  const picture = await sea.generate("sandbox/failover", {
    ...PROMPT,
    generation_output_number: 2,
    generation_ratio: "16:9",
    generation_sandbox_fail_providers: ["sandbox_polling"],
  });
  const made = picture.data as Initialized;
  assert.equal(picture.message, "Generation initialized");
  assert.deepEqual([...made.generation_provider_order].sort(), [...failover.model_supported_provider].sort());
  const record = await sea.waitForGeneration(made.generation_id, { intervalMs: 500 });
  assert.notEqual(record.generation_provider_used, "sandbox_polling");
  assert.equal(record.generation_output_file?.length, 2);
  assert.ok(record.generation_metrics_total_time! >= record.generation_metrics_predict_time!);
  const file = await fetch(record.generation_output_file![0]!);
  assert.equal(file.headers.get("Content-Type"), "image/png");

  // A film.
  const film = await sea.generate("sandbox/video", { ...PROMPT, generation_duration: 1 });
  const shown = await sea.waitForGeneration(film.data.generation_id, { intervalMs: 500 });
  assert.deepEqual([shown.generation_duration, shown.generation_output_format], [1, "mp4"]);

  // Too late to cancel, and nothing comes back.
  const late = await refusal(sea.cancelGeneration(made.generation_id));
  assert.deepEqual([late.status, late.code, late.retryable], [409, "BSE2013", false]);
  assert.deepEqual(late.details, { generation_status: "succeeded" });

  // In time.
  const slow = { ...PROMPT, generation_sandbox_latency_ms: 60_000 };
  const { data: begun } = await sea.generate("sandbox/polling", slow);
  const { data: canceled } = await sea.cancelGeneration(begun.generation_id);
  assert.equal(canceled.credits_refunded, true);

  // What is wrong is told all at once, and costs nothing.
  const wrong = { ...PROMPT, generation_ratio: "7:5", generation_colour: "red" };
  const invalid = await refusal(sea.generate("sandbox/inline", wrong));
  assert.deepEqual([invalid.status, invalid.code], [400, "BSE2001"]);
  const issues = invalid.details?.issues as { field: string; reason: string }[];
  assert.deepEqual(issues.map((issue) => issue.field), ["generation_ratio", "generation_colour"]);
  const range = { ...PROMPT, generation_output_number: 99 };
  const outside = await refusal(sea.generate("sandbox/inline", range));
  assert.deepEqual([outside.status, outside.code], [422, "BSE2008"]);
  assert.deepEqual([outside.details?.min, outside.details?.max], [1, 4]);
  const { billing_credit_balance: left } = (await sea.billing()).data;
  assert.equal(left, 0.996, "two pictures and a second of film");

  // More than there is.
  const poor = client({ apiKey: (await newAccount("enterprise", "0")).key });
  const unpaid = await refusal(poor.generate("sandbox/inline", PROMPT));
  assert.deepEqual([unpaid.status, unpaid.code], [402, "BSE1004"]);

  // What was made, newest first.
  const list = await sea.listGenerations({ limit: 2 });
  assert.deepEqual([list.total, list.limit, list.offset], [3, 2, 0]);
  const ids = list.data.generations.map((generation) => generation.generation_id);
  assert.deepEqual(ids, [begun.generation_id, film.data.generation_id]);
  const rest = await sea.listGenerations({ limit: 2, offset: 2 });
  assert.deepEqual(rest.data.generations[0], record);

  // Gone is gone, files included.
  const { data: deleted } = await sea.deleteGeneration(made.generation_id);
  assert.deepEqual(deleted, { generation_id: made.generation_id, files_deleted: 2 });
  assert.equal((await fetch(record.generation_output_file![0]!)).status, 404);
  const missing = await refusal(sea.getGeneration(made.generation_id));
  assert.deepEqual([missing.status, missing.code], [404, "BSE2012"]);
  // Somebody else's is as missing.
  const foreign = await refusal(poor.getGeneration(film.data.generation_id));
  assert.deepEqual([foreign.code, foreign.message], [missing.code, missing.message]);

  // Two days, since midnight may have passed meanwhile.
  const usage = (await sea.usage(2)).data;
  assert.equal(usage.usage_period_days, 2);
  assert.equal(usage.usage_credit_balance, 0.996);
  assert.equal(usage.usage_total_generations, 3);
  assert.equal(usage.usage_total_provider_submissions, 4, "one was refused");
  const health = (await sea.healthProviders()).data;
  assert.equal(health.providers_total, health.providers.length);
  assert.equal((await sea.healthStorage()).data.healthy, true);
  assert.equal((await sea.healthCache()).data.service, "redis");
  const models = (await sea.healthModels()).data;
  assert.equal(models.models_total, library.models_total);
});

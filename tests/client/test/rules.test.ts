/**
 * The seventeen points that the official SDK breaks on, each against the real server; where a
 * point is about a fault in between, a stand-in makes the fault.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ConnectionError, GenerationError, BabySeaError, errorOf } from "../src/errors.js";
import { readRateLimit } from "../src/client.js";
import type { Initialized, Model } from "../src/types.js";
import { verifyWebhook, WebhookError } from "../src/webhooks.js";
import {
  accountId,
  client,
  fakeSleep,
  key,
  newAccount,
  operator,
  raw,
  standIn,
  until,
  url,
  type StandIn,
} from "./server.js";

const PROMPT = { generation_prompt: "a lighthouse made of folded paper" };
const IMAGE = "sandbox/inline";
const POLLING = "sandbox/polling";
const VIDEO = { ...PROMPT, generation_duration: 1 };
const SLOW = { ...PROMPT, generation_sandbox_latency_ms: 60_000 };

async function refused(promise: Promise<unknown>): Promise<BabySeaError> {
  const error: unknown = await promise.then(
    () => assert.fail("was not refused"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof BabySeaError, String(error));
  return error;
}

async function started(model: string, params: typeof PROMPT): Promise<string> {
  return (await client().generate(model, params)).data.generation_id;
}

test("rule 1: the base is a host without a path, with or without a slash", async () => {
  for (const baseUrl of [url, `${url}/`, `${url}//`]) {
    const { data } = await client({ baseUrl }).status();
    assert.equal(data.account_id, accountId);
  }
});

test("rule 2: a model's slash stands in the path as it is, and may be escaped", async () => {
  for (const model of [IMAGE, IMAGE.replace("/", "%2F")]) {
    const { data } = await client().generate(model, PROMPT);
    assert.equal((data as Initialized).model_identifier, IMAGE);
    assert.equal((await client().estimate(model)).data.model_identifier, IMAGE);
  }
});

test("rule 3: every success carries a JSON body", async () => {
  const answers: { status: number; type: string; body: string }[] = [];
  const recording: typeof fetch = async (...call) => {
    const response = await fetch(...call);
    const type = response.headers.get("Content-Type") ?? "";
    answers.push({ status: response.status, type, body: await response.clone().text() });
    return response;
  };
  const one = client({ fetch: recording });
  const done = (await one.generate(IMAGE, PROMPT)).data.generation_id;
  const slow = (await one.generate(POLLING, SLOW)).data.generation_id;
  await one.cancelGeneration(slow);
  await one.deleteGeneration(slow);
  await one.deleteGeneration(done);
  await Promise.all([
    one.status(),
    one.usage(),
    one.account(),
    one.billing(),
    one.estimate(IMAGE),
    one.listGenerations(),
    one.libraryModels(),
    one.libraryProviders(),
    one.healthProviders(),
    one.healthModels(),
    one.healthStorage(),
    one.healthCache(),
  ]);
  assert.equal(answers.length, 17);
  for (const { status: http, type, body } of answers) {
    assert.deepEqual([http, type], [200, "application/json"]);
    const { status, request_id, message, timestamp, data } = JSON.parse(body);
    assert.equal(status, "success");
    assert.match(request_id, /^req_[a-z0-9]{8}$/);
    assert.equal(typeof message, "string");
    assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.equal(typeof data, "object");
  }
});

test("rule 4: an error is an object with everything in it, so that nothing is made up", async () => {
  const cases: [string, RequestInit, number, string][] = [
    ["/v1/status", { headers: { Authorization: "" } }, 401, "BSE1001"],
    ["/v1/status", { headers: { Authorization: "Bearer bye_wrong" } }, 401, "BSE1002"],
    ["/v1/nothing", {}, 404, "BSE2017"],
    ["/v1/status", { method: "DELETE" }, 405, "BSE2014"],
    ["/v1/content/x", {}, 404, "BSE2012"],
    [`/v1/generate/image/${IMAGE}`, { method: "POST", body: "{" }, 400, "BSE2001"],
    [`/v1/generate/image/${IMAGE}`, { method: "POST", body: "a".repeat(102_401) }, 413, "BSE2010"],
    ["/v1/generate/image/no/model", { method: "POST", body: JSON.stringify(PROMPT) }, 404, "BSE2011"],
  ];
  for (const [path, init, status, code] of cases) {
    const response = await raw(path, init);
    assert.equal(response.status, status, path);
    const body = (await response.json()) as { request_id: unknown; error: Record<string, unknown> };
    assert.equal(typeof body.request_id, "string");
    const { error } = body;
    assert.equal(error.code, code);
    assert.equal(error.retryable, false);
    assert.ok(typeof error.type === "string" && typeof error.message === "string");
    assert.notEqual(error.type, "api_error");
  }
  // Only what stands in between leaves something out.
  const { code, type, message, retryable } = errorOf(502, "<html>");
  assert.deepEqual([code, type, message, retryable], ["HTTP_502", "api_error", "HTTP 502", true]);
  const odd = errorOf(404, { request_id: 7, error: { details: [], provider_errors: {} } });
  assert.equal(odd.retryable, false);
  for (const left of [odd.requestId, odd.details, odd.providerErrors]) {
    assert.equal(left, undefined);
  }
});

test("rule 5: what is retryable is sent three times in all, with the same key", async () => {
  const between = await standIn(() => "forward");
  const { sleep, waits } = fakeSleep();
  const one = client({ baseUrl: between.url, sleep });
  const failing = { ...PROMPT, generation_sandbox_outcome: "fail" };
  const error = await refused(one.generate(IMAGE, failing, { idempotencyKey: "order:1" }));
  between.close();
  assert.deepEqual([error.status, error.code, error.retryable], [502, "BSE4010", true]);
  assert.equal(error.providerErrors?.[0]?.provider, "sandbox_inline");
  assert.equal(between.seen.length, 3, "a failure that may pass is not remembered");
  assert.ok(between.seen.every((seen) => seen.headers["idempotency-key"] === "order:1"));
  assert.equal(waits.length, 2);
  assert.ok(waits[0]! < 1000 && waits[1]! < 2000, String(waits));
});

test("rule 6: Retry-After counts only beside a limit, and as a whole number above 0", async () => {
  const read = (headers: Record<string, string>) => readRateLimit(new Headers(headers));
  assert.equal(read({ "Retry-After": "5" }), undefined);
  assert.equal(read({ "X-RateLimit-Limit": "", "Retry-After": "5" }), undefined);
  assert.equal(read({ "X-RateLimit-Limit": "9", "Retry-After": "0" })?.retryAfter, undefined);
  assert.equal(read({ "X-RateLimit-Limit": "9", "Retry-After": "1.5" })?.retryAfter, undefined);
  // So the server sends both, and the client waits as long as it was asked to.
  const account = await newAccount("free", "1");
  const { sleep, waits } = fakeSleep();
  const one = client({ apiKey: account.key, sleep });
  const first = (await one.status()).rateLimit!;
  for (let left = first.remaining; left > 0; left -= 1) {
    await one.status();
  }
  const error = await refused(one.status());
  assert.deepEqual([error.status, error.code, error.retryable], [429, "BSE1005", true]);
  const { limit, remaining, retryAfter } = error.rateLimit!;
  assert.deepEqual([limit, remaining], [first.limit, 0]);
  assert.ok(retryAfter! >= 1 && retryAfter! <= 60);
  assert.deepEqual(error.details, { retry_after_seconds: retryAfter, limit });
  assert.equal(waits.length, 2);
  for (const wait of waits) {
    assert.ok(wait >= 1000 && wait <= 30_000, String(waits));
  }
});

test("rule 7: the limit is told in whole numbers, its reset in seconds since 1970", async () => {
  const { rateLimit } = await client().status();
  assert.ok(rateLimit !== undefined && rateLimit.limit > 0);
  assert.ok(rateLimit.remaining >= 0 && rateLimit.remaining < rateLimit.limit);
  const ahead = rateLimit.reset - Date.now() / 1000;
  assert.ok(ahead > -2 && ahead <= 61, String(ahead));
  const failed = await raw("/v1/content/x");
  assert.ok(readRateLimit(failed.headers)!.limit > 0, "on errors too");
});

describe("rule 8: a repeated request", () => {
  test("is answered as the first one was, and flagged", async () => {
    const options = { idempotencyKey: "order:4711:cover" };
    const first = await client().generate(IMAGE, PROMPT, options);
    const again = await client().generate(IMAGE, PROMPT, options);
    assert.deepEqual([first.replayed, again.replayed], [false, true]);
    assert.deepEqual(again.data, first.data);
    assert.equal(again.request_id, first.request_id, "byte for byte");
  });

  test("with another body is refused", async () => {
    const options = { idempotencyKey: "order:4712" };
    await client().generate(IMAGE, PROMPT, options);
    const other = { generation_prompt: "a harbour" };
    const error = await refused(client().generate(IMAGE, other, options));
    assert.deepEqual([error.status, error.code, error.retryable], [409, "BSE2015", false]);
  });

  test("waits for the first one while that is under way", async () => {
    const account = await newAccount("enterprise", "1");
    const [path, idempotencyKey] = [`/v1/generate/image/${IMAGE}`, "order:4713"];
    // Answered after the three seconds that tests/it/client.rs sets, which is long enough for all.
    const params = { ...PROMPT, generation_sandbox_latency_ms: 5000 };
    const waits: number[] = [];
    const sleep = async (ms: number): Promise<void> => {
      waits.push(ms);
      await first;
    };
    const one = client({ apiKey: account.key, sleep });
    const first = one.generate(IMAGE, params, { idempotencyKey });
    await until("the first request is in", async () => {
      const { total } = await one.listGenerations();
      return total > 0 ? total : undefined;
    });
    const second = await raw(path, {
      method: "POST",
      body: JSON.stringify(params),
      headers: {
        Authorization: `Bearer ${account.key}`,
        "Content-Type": "application/json",
        "Idempotency-Key": idempotencyKey,
      },
    });
    const { error } = (await second.json()) as { error?: { code: string; retryable: boolean } };
    assert.deepEqual([second.status, error?.code, error?.retryable], [409, "BSE2016", true]);
    assert.equal(readRateLimit(second.headers)?.retryAfter, 2);
    const third = await one.generate(IMAGE, params, { idempotencyKey });
    assert.deepEqual(waits, [2000], "as long as it was asked to");
    assert.deepEqual([third.replayed, third.data], [true, (await first).data]);
  });

  test("for a generation that was canceled says so", async () => {
    const options = { idempotencyKey: "order:4714" };
    const { data } = await client().generate(POLLING, SLOW, options);
    await client().cancelGeneration(data.generation_id);
    const again = await client().generate(POLLING, SLOW, options);
    const canceled = { generation_id: data.generation_id, generation_status: "canceled" };
    assert.deepEqual([again.replayed, again.data], [true, canceled]);
  });
});

describe("rule 9: when the connection breaks", () => {
  const breaksOnce = () => standIn((_, count) => (count === 1 ? "break" : "forward"));

  test("what only reads is sent again", async () => {
    const between = await breaksOnce();
    const one = client({ baseUrl: between.url, sleep: fakeSleep().sleep });
    assert.equal((await one.status()).data.account_id, accountId);
    assert.equal(between.seen.length, 2);
    between.close();
  });

  test("a creation is sent again only with a key", async () => {
    const [without, withKey] = [await breaksOnce(), await breaksOnce()];
    const { sleep } = fakeSleep();
    const one = client({ baseUrl: without.url, sleep });
    await assert.rejects(one.generate(IMAGE, PROMPT), ConnectionError);
    assert.equal(without.seen.length, 1);
    const other = client({ baseUrl: withKey.url, sleep });
    const { data } = await other.generate(IMAGE, PROMPT, { idempotencyKey: "broken:1" });
    assert.ok("generation_initialized" in data);
    assert.equal(withKey.seen.length, 2);
    without.close();
    withKey.close();
  });

  test("or nothing comes of a job, a creation is answered before a client gives up", async () => {
    const began = Date.now();
    const hanging = { ...PROMPT, generation_sandbox_latency_ms: 600_000 };
    const { data } = await client({ timeoutMs: 20_000 }).generate(IMAGE, hanging);
    assert.ok(Date.now() - began < 19_000);
    assert.ok("generation_initialized" in data && data.generation_prediction_id.length > 0);
    await client().cancelGeneration(data.generation_id);
  });
});

test("rule 10: a cancel has neither body nor content type", async () => {
  const between = await standIn(() => "forward");
  const id = await started(POLLING, SLOW);
  const { data } = await client({ baseUrl: between.url }).cancelGeneration(id);
  between.close();
  const [seen] = between.seen;
  assert.deepEqual([seen?.body, seen?.headers["content-type"]], ["", undefined]);
  assert.deepEqual(data, {
    generation_id: id,
    generation_status: "canceled",
    provider_cancel_sent: true,
    credits_refunded: true,
  });
});

test("rule 11: the headers of an SDK are taken, and mean nothing for who is asking", async () => {
  const between = await standIn(() => "forward");
  await client({ baseUrl: between.url }).generate(IMAGE, PROMPT, { idempotencyKey: "headers:1" });
  between.close();
  const headers = between.seen[0]?.headers ?? {};
  const version = process.versions.node;
  assert.equal(headers.authorization, `Bearer ${key}`);
  assert.equal(headers.accept, "application/json");
  assert.equal(headers["content-type"], "application/json");
  assert.equal(headers["user-agent"], `babysea-node/2.0.0 (node/${version})`);
  assert.equal(headers["x-babysea-sdk-runtime-version"], version);
  const posing = await raw("/v1/status", {
    headers: {
      "User-Agent": "x",
      "X-BabySea-SDK-Name": "'; DROP TABLE accounts",
      "X-BabySea-SDK-Runtime": "toaster",
      "X-Account-Id": "00000000-0000-0000-0000-000000000000",
      Accept: "text/html",
    },
  });
  const { data } = (await posing.json()) as { data: { account_id: string } };
  assert.equal(data.account_id, accountId);
});

test("rule 12: a browser may ask from any site, and read what an SDK reads", async () => {
  const names = ["Name", "Version", "Runtime", "Runtime-Version"];
  const sent = ["Authorization", "Accept", "Content-Type", "Idempotency-Key"];
  const asked = [...sent, ...names.map((name) => `X-BabySea-SDK-${name}`)];
  for (const method of ["GET", "POST", "DELETE"]) {
    const preflight = await fetch(`${url}/v1/content/x`, {
      method: "OPTIONS",
      headers: {
        Origin: "https://app.example",
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": asked.join(", ").toLowerCase(),
      },
    });
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers.get("Access-Control-Allow-Origin"), "*");
    assert.equal(preflight.headers.get("Access-Control-Allow-Credentials"), null);
    const list = (name: string) => (preflight.headers.get(name) ?? "").toLowerCase().split(/, */);
    assert.ok(list("Access-Control-Allow-Methods").includes(method.toLowerCase()));
    for (const header of asked) {
      assert.ok(list("Access-Control-Allow-Headers").includes(header.toLowerCase()), header);
    }
  }
  const read = ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"];
  for (const path of ["/v1/status", "/v1/content/x"]) {
    const answer = await raw(path, { headers: { Origin: "https://app.example" } });
    assert.equal(answer.headers.get("Access-Control-Allow-Origin"), "*");
    const exposed = (answer.headers.get("Access-Control-Expose-Headers") ?? "").split(/, */);
    for (const header of [...read, "Retry-After", "Idempotency-Replayed"]) {
      assert.ok(exposed.includes(header), header);
    }
  }
});

test("rule 13: a duration, and nothing else, makes it a video", async () => {
  const between = await standIn(() => "forward");
  const one = client({ baseUrl: between.url });
  await one.generate("sandbox/video", VIDEO);
  await one.generate(IMAGE, PROMPT);
  const error = await refused(one.generate("sandbox/video", PROMPT));
  between.close();
  const paths = between.seen.map((seen) => seen.path);
  assert.deepEqual(paths, [
    "/v1/generate/video/sandbox/video",
    "/v1/generate/image/sandbox/inline",
    "/v1/generate/image/sandbox/video",
  ]);
  assert.deepEqual([error.status, error.code], [404, "BSE2011"]);
});

describe("rule 14: waiting for a generation", () => {
  test("asks every two seconds, or as often as half a second", async () => {
    const { sleep, waits } = fakeSleep();
    const id = await started(POLLING, SLOW);
    const one = client({ sleep });
    await assert.rejects(one.waitForGeneration(id, { timeoutMs: 6_000 }), GenerationError);
    assert.deepEqual(waits.splice(0), [2000, 2000, 2000]);
    const often = one.waitForGeneration(id, { intervalMs: 1, timeoutMs: 1_000 });
    await assert.rejects(often, GenerationError);
    assert.deepEqual(waits, [500, 500]);
    await client().cancelGeneration(id);
    await assert.rejects(client().waitForGeneration(id), /canceled/);
  });

  test("gives the record, or the reason why there is none", async () => {
    const done = await client().waitForGeneration(await started(POLLING, PROMPT));
    assert.equal(done.generation_status, "succeeded");
    assert.equal(done.generation_error, undefined);
    const failing = { ...PROMPT, generation_sandbox_outcome: "moderate" };
    const id = await started("sandbox/webhook", failing).catch(() => undefined);
    if (id !== undefined) {
      const error: unknown = await client().waitForGeneration(id).catch((error) => error);
      assert.ok(error instanceof GenerationError && error.message.length > "failed".length);
      const { data } = await client().getGeneration(id);
      assert.match(data.generation_error_code ?? "", /^BSE\d{4}$/);
      assert.equal(error.message, data.generation_error);
    }
  });
});

test("rule 15: a creation is told apart from one that was canceled by its status", async () => {
  const { data: made } = await client().generate(POLLING, SLOW, { idempotencyKey: "variant:1" });
  assert.ok(!("generation_status" in made) && "generation_initialized" in made);
  assert.equal(made.generation_initialized, true);
  assert.deepEqual(made.generation_provider_order, ["sandbox_polling"]);
  await client().cancelGeneration(made.generation_id);
  const again = await client().generate(POLLING, SLOW, { idempotencyKey: "variant:1" });
  assert.ok("generation_status" in again.data && !("generation_initialized" in again.data));
});

describe("rule 16: a webhook", () => {
  let receiver: StandIn;
  let secret: string;

  before(async () => {
    receiver = await standIn(() => ({ status: 204, body: "" }));
    const events = ["started", "completed", "failed", "canceled"];
    const named = events.flatMap((event) => ["--event", `generation.${event}`]);
    const line = ["webhook", "create", "--account", accountId, "--url", `${receiver.url}/hook`];
    ({ secret } = await operator<{ secret: string }>(...line, ...named));
  });
  after(() => receiver.close());

  const delivered = (event: string, id: string) =>
    until(`${event} of ${id} came in`, () =>
      receiver.seen.find(
        ({ headers, body }) => headers["x-babysea-event"] === event && body.includes(id),
      ),
    );

  test("is signed over its very bytes", async () => {
    const id = await started(IMAGE, PROMPT);
    const { headers, body } = await delivered("generation.completed", id);
    const signature = String(headers["x-babysea-signature"]);
    assert.match(signature, /^t=\d+,v1=[0-9a-f]{64}$/);
    const payload = verifyWebhook(body, signature, secret);
    assert.equal(payload.webhook_event, "generation.completed");
    assert.equal(payload.webhook_timestamp, headers["x-babysea-timestamp"]);
    assert.equal(payload.webhook_delivery_id, headers["x-babysea-delivery-id"]);
    const { data } = await client().getGeneration(id);
    assert.deepEqual(payload.webhook_data, {
      account_id: accountId,
      model_identifier: IMAGE,
      generation_provider_used: "sandbox_inline",
      generation_status: "succeeded",
      generation_prediction_id: data.generation_prediction_id,
      generation_id: id,
      generation_output_file: data.generation_output_file,
    });
    const late = Date.now() / 1000 + 301;
    assert.throws(() => verifyWebhook(body, signature, secret, late), WebhookError);
    assert.throws(() => verifyWebhook(`${body} `, signature, secret), WebhookError);
    assert.throws(() => verifyWebhook(body, signature, `${secret}x`), WebhookError);
    assert.throws(() => verifyWebhook(body, signature.replace(",", ", "), secret), WebhookError);
  });

  test("comes for every step of a life", async () => {
    const id = await started(POLLING, SLOW);
    const begun = await delivered("generation.started", id);
    await client().cancelGeneration(id);
    const ended = await delivered("generation.canceled", id);
    for (const { headers, body } of [begun, ended]) {
      verifyWebhook(body, String(headers["x-babysea-signature"]), secret);
    }
    assert.equal(JSON.parse(ended.body).webhook_data.credits_refunded, true);
  });

  test("is verified as documented", () => {
    const body =
      '{"webhook_event":"generation.completed","webhook_timestamp":"2026-06-02T08:15:14.002Z","webhook_delivery_id":"5a1e93c8-0f47-4b2d-a6d8-73c9e0b1f264","webhook_data":{"account_id":"3f6c1d0e-8b1a-4d57-9c7e-51d0a6b2e904","model_identifier":"bfl/flux-schnell","generation_provider_used":"fal","generation_status":"succeeded","generation_prediction_id":"pj-5520ce1b","generation_id":"b7d2f0a4-6e35-4c1f-8a90-2f4be1c6d713","generation_output_file":["https://files.example.net/us/b7d2f0a4/0.webp"]}}';
    const signature =
      "t=1780388114,v1=235a6d4b6f2d2ed8e67fdf44d635cbb405a17432ed8d972070c48764cd802d98";
    verifyWebhook(body, signature, "whsec_0123456789abcdef0123456789abcdef", 1780388114);
  });
});

describe("rule 17: a starter app", () => {
  let models: Model[];
  before(async () => {
    models = (await client().libraryModels()).data.models;
  });

  /** What it offers to choose from. */
  const orders = ({ model_supported_provider: providers }: Model): string[] =>
    providers.length > 1 ? ["fastest", providers.join(", ")] : providers;

  /** What it sends for the first choice of everything. */
  const firstChoice = ({ schema }: Model) => ({
    ...PROMPT,
    generation_ratio: schema.generation_ratio[0]!,
    generation_output_format: schema.generation_output_format[0]!,
    generation_output_number: schema.generation_output_number,
    ...(schema.generation_duration && { generation_duration: schema.generation_duration[0]! }),
    ...(schema.generation_resolution && {
      generation_resolution: schema.generation_resolution[0]!,
    }),
  });

  test("finds ratios, formats and providers in every model", () => {
    assert.ok(models.length > 0);
    for (const { model_identifier: id, schema, model_supported_provider, ...model } of models) {
      assert.ok(schema.generation_ratio.length > 0, id);
      assert.ok(schema.generation_output_format.length > 0, id);
      assert.ok(schema.generation_output_number >= 1, id);
      assert.ok(model_supported_provider.length > 0, id);
      assert.equal(schema.generation_duration !== undefined, model.model_type === "video", id);
      assert.notEqual(schema.generation_resolution?.length, 0, id);
    }
  });

  test("prices every model as what it will send", async () => {
    for (const model of models) {
      const { schema } = model;
      const { data } = await client().estimate(model.model_identifier, {
        count: schema.generation_output_number,
        ...(schema.generation_duration && { duration: schema.generation_duration[0]! }),
        ...(schema.generation_resolution && { resolution: schema.generation_resolution[0]! }),
      });
      assert.equal(data.assets_count, schema.generation_output_number, model.model_identifier);
      assert.ok(data.cost_total_consumed > 0, model.model_identifier);
    }
  });

  test("may send every order that it offers, and pays what it was told", async () => {
    const account = await newAccount("enterprise", "100");
    const one = client({ apiKey: account.key });
    const credit = async () => (await one.billing()).data.billing_credit_balance;
    for (const model of models.filter((model) => model.model_identifier.startsWith("sandbox/"))) {
      for (const order of orders(model)) {
        const params = { ...firstChoice(model), generation_provider_order: order };
        const { data: estimate } = await one.estimate(model.model_identifier, {
          count: params.generation_output_number,
          ...(params.generation_duration && { duration: params.generation_duration }),
        });
        const before = await credit();
        const { data } = await one.generate(model.model_identifier, params);
        const paid = Math.round((before - (await credit())) * 1000) / 1000;
        assert.equal(paid, estimate.cost_total_consumed, `${model.model_identifier} ${order}`);
        const record = await one.waitForGeneration(data.generation_id, { intervalMs: 500 });
        const files = record.generation_output_file ?? [];
        assert.equal(files.length, params.generation_output_number);
        for (const file of files) {
          // `https://` where the server is reached so: files have the scheme of its public URL.
          assert.ok(file.startsWith(`${url}/files/`), file);
          assert.equal((await fetch(file)).status, 200);
        }
      }
    }
  });
});

/**
 * A client that behaves as BabySea's TypeScript SDK 2.0 is documented to, in the seventeen points
 * that a server has to get right (rule 1 to rule 17). Our own code.
 */
import { ConnectionError, GenerationError, errorOf, type RateLimit } from "./errors.js";
import type * as t from "./types.js";

export interface Options {
  apiKey: string;
  baseUrl?: string;
  timeoutMs?: number;
  maxRetries?: number;
  fetch?: typeof fetch;
  /** Stands in for the clock in tests. */
  sleep?: (ms: number) => Promise<void>;
}

/** A success with what only its headers say. */
export type Answer<T> = T & { rateLimit?: RateLimit; replayed: boolean };

interface Call {
  method: "GET" | "POST" | "DELETE";
  path: string;
  body?: unknown;
  idempotencyKey?: string;
}

const NAME = "babysea-node";
const VERSION = "2.0.0";
const RETRY_MAX_MS = 30_000;
const POLL_MS = 2_000;
const POLL_MIN_MS = 500;
const WAIT_MS = 600_000;

export class BabySea {
  readonly #key: string;
  readonly #base: string;
  readonly #timeoutMs: number;
  readonly #maxRetries: number;
  readonly #fetch: typeof fetch;
  readonly #sleep: (ms: number) => Promise<void>;

  constructor(options: Options) {
    this.#key = options.apiKey;
    // Rule 1.
    this.#base = (options.baseUrl ?? "https://api.us.babysea.ai").replace(/\/+$/, "");
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#maxRetries = options.maxRetries ?? 2;
    this.#fetch = options.fetch ?? fetch;
    this.#sleep = options.sleep ?? ((ms) => new Promise((done) => setTimeout(done, ms)));
  }

  status(): Promise<Answer<t.Envelope<t.Status>>> {
    return this.#get("/v1/status");
  }

  usage(days?: number): Promise<Answer<t.Envelope<t.Usage>>> {
    return this.#get(`/v1/usage${query({ days })}`);
  }

  account(): Promise<Answer<t.Envelope<t.Account>>> {
    return this.#get("/v1/user/account");
  }

  billing(): Promise<Answer<t.Envelope<t.Billing>>> {
    return this.#get("/v1/user/billing");
  }

  estimate(model: string, params: t.EstimateParams = {}): Promise<Answer<t.Envelope<t.Estimate>>> {
    return this.#get(`/v1/estimate/${model}${query({ ...params })}`);
  }

  /** Rule 2: the model goes into the path as it is. Rule 13: what has a duration is a video. */
  generate(
    model: string,
    params: t.GenerateParams,
    options: { idempotencyKey?: string } = {},
  ): Promise<Answer<t.Envelope<t.Created>>> {
    const media = params.generation_duration === undefined ? "image" : "video";
    const path = `/v1/generate/${media}/${model}`;
    return this.#send({ method: "POST", path, body: params, ...options });
  }

  getGeneration(id: string): Promise<Answer<t.Envelope<t.Generation>>> {
    return this.#get(`/v1/content/${id}`);
  }

  listGenerations(
    page: { limit?: number; offset?: number } = {},
  ): Promise<Answer<t.Page<{ generations: t.Generation[] }>>> {
    return this.#get(`/v1/content/list${query({ ...page })}`);
  }

  deleteGeneration(id: string): Promise<Answer<t.Envelope<t.Deleted>>> {
    return this.#send({ method: "DELETE", path: `/v1/content/${id}` });
  }

  /** Rule 10: without a body. */
  cancelGeneration(id: string): Promise<Answer<t.Envelope<t.Canceled>>> {
    return this.#send({ method: "POST", path: `/v1/content/generation/cancel/${id}` });
  }

  libraryProviders(): Promise<
    Answer<t.Envelope<{ providers: t.Provider[]; providers_total: number }>>
  > {
    return this.#get("/v1/library/providers");
  }

  libraryModels(): Promise<Answer<t.Envelope<{ models: t.Model[]; models_total: number }>>> {
    return this.#get("/v1/library/models");
  }

  healthProviders(): Promise<Answer<t.Envelope<t.ProvidersHealth>>> {
    return this.#get("/v1/health/inference/providers");
  }

  healthModels(): Promise<Answer<t.Envelope<t.ModelsHealth>>> {
    return this.#get("/v1/health/inference/models");
  }

  healthStorage(): Promise<Answer<t.Envelope<t.ServiceHealth>>> {
    return this.#get("/v1/health/storage");
  }

  healthCache(): Promise<Answer<t.Envelope<t.ServiceHealth>>> {
    return this.#get("/v1/health/cache");
  }

  /** Asks until a generation has succeeded (rule 14). */
  async waitForGeneration(
    id: string,
    options: { intervalMs?: number; timeoutMs?: number } = {},
  ): Promise<t.Generation> {
    const interval = Math.max(options.intervalMs ?? POLL_MS, POLL_MIN_MS);
    const limit = options.timeoutMs ?? WAIT_MS;
    for (let waited = 0; ; waited += interval) {
      const { data } = await this.getGeneration(id);
      switch (data.generation_status) {
        case "succeeded":
          return data;
        case "failed":
        case "canceled":
          throw new GenerationError(data.generation_error ?? data.generation_status, id);
        case "pending":
        case "processing":
          if (waited + interval > limit) {
            throw new GenerationError(`not finished after ${limit} ms`, id);
          }
          await this.#sleep(interval);
      }
    }
  }

  #get<T>(path: string): Promise<Answer<T>> {
    return this.#send({ method: "GET", path });
  }

  /** Rules 5 and 9: the same request again, while that may help and cannot do it twice. */
  async #send<T>(call: Call): Promise<Answer<T>> {
    for (let attempt = 1; ; attempt += 1) {
      const last = attempt > this.#maxRetries;
      let response: Response;
      try {
        response = await this.#once(call);
      } catch (cause) {
        const safe = call.method !== "POST" || call.idempotencyKey !== undefined;
        if (last || !safe) {
          throw new ConnectionError("no answer", { cause });
        }
        await this.#sleep(backoff(attempt));
        continue;
      }
      const rateLimit = readRateLimit(response.headers);
      if (response.ok) {
        // Rule 3: always.
        const body = (await response.json()) as T;
        // Rule 8.
        const replayed = response.headers.get("Idempotency-Replayed") === "true";
        return { ...body, replayed, ...(rateLimit && { rateLimit }) };
      }
      const body: unknown = await response.json().catch(() => undefined);
      const error = errorOf(response.status, body, rateLimit);
      if (last || !error.retryable) {
        throw error;
      }
      const asked = rateLimit?.retryAfter;
      const wait = asked === undefined ? backoff(attempt) : asked * 1000;
      await this.#sleep(Math.min(wait, RETRY_MAX_MS));
    }
  }

  #once(call: Call): Promise<Response> {
    const headers: Record<string, string> = {
      // Rule 11.
      Authorization: `Bearer ${this.#key}`,
      Accept: "application/json",
      "User-Agent": `${NAME}/${VERSION} (node/${process.versions.node})`,
      "X-BabySea-SDK-Name": NAME,
      "X-BabySea-SDK-Version": VERSION,
      "X-BabySea-SDK-Runtime": "node",
      "X-BabySea-SDK-Runtime-Version": process.versions.node,
    };
    const init: RequestInit = {
      method: call.method,
      headers,
      signal: AbortSignal.timeout(this.#timeoutMs),
    };
    if (call.body !== undefined) {
      headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(call.body);
    }
    if (call.idempotencyKey !== undefined) {
      headers["Idempotency-Key"] = call.idempotencyKey;
    }
    return this.#fetch(this.#base + call.path, init);
  }
}

/** Somewhere between at once and twice as long as the last time. */
function backoff(attempt: number): number {
  return Math.random() * Math.min(1000 * 2 ** (attempt - 1), RETRY_MAX_MS);
}

/** Rules 6 and 7: without a limit none of the headers counts; what is missing is 0. */
export function readRateLimit(headers: Headers): RateLimit | undefined {
  if (!headers.get("X-RateLimit-Limit")) {
    return undefined;
  }
  const integer = (name: string): number => {
    const text = headers.get(name) ?? "";
    return /^\d+$/.test(text) ? Number(text) : 0;
  };
  const retryAfter = integer("Retry-After");
  return {
    limit: integer("X-RateLimit-Limit"),
    remaining: integer("X-RateLimit-Remaining"),
    reset: integer("X-RateLimit-Reset"),
    ...(retryAfter > 0 && { retryAfter }),
  };
}

function query(params: Record<string, unknown>): string {
  const given = Object.entries(params).filter(([, value]) => value !== undefined);
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return given.length > 0 ? `?${search}` : "";
}

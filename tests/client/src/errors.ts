/** One attempt of a provider that failed. */
export interface ProviderError {
  provider: string;
  code: string;
  type: string;
  message: string;
  retryable: boolean;
}

/** What the server says of the account's limit. */
export interface RateLimit {
  limit: number;
  remaining: number;
  /** Seconds since 1970. */
  reset: number;
  /** Seconds, where the server asks for a pause. */
  retryAfter?: number;
}

/** A refusal by the server. */
export class BabySeaError extends Error {
  override readonly name: string = "BabySeaError";

  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
    readonly type: string,
    readonly retryable: boolean,
    readonly rateLimit?: RateLimit,
    readonly requestId?: string,
    readonly details?: Record<string, unknown>,
    readonly providerErrors?: ProviderError[],
  ) {
    super(message);
  }
}

/** No answer: the connection failed or took too long. */
export class ConnectionError extends Error {
  override readonly name: string = "ConnectionError";
}

/** A generation that did not end as hoped, or not in time. */
export class GenerationError extends Error {
  override readonly name: string = "GenerationError";

  constructor(
    message: string,
    readonly generationId: string,
  ) {
    super(message);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Reads an error body (rule 4). What is missing is filled in: a proxy in between may have
 * answered in place of the server.
 */
export function errorOf(status: number, body: unknown, rateLimit?: RateLimit): BabySeaError {
  const outer = isObject(body) ? body : {};
  const error = isObject(outer.error) ? outer.error : {};
  const text = (value: unknown, otherwise: string): string =>
    typeof value === "string" ? value : otherwise;
  return new BabySeaError(
    text(error.message, `HTTP ${status}`),
    status,
    text(error.code, `HTTP_${status}`),
    text(error.type, "api_error"),
    typeof error.retryable === "boolean" ? error.retryable : status === 429 || status >= 500,
    rateLimit,
    typeof outer.request_id === "string" ? outer.request_id : undefined,
    isObject(error.details) ? error.details : undefined,
    Array.isArray(error.provider_errors) ? (error.provider_errors as ProviderError[]) : undefined,
  );
}

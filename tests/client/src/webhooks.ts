import { createHmac, timingSafeEqual } from "node:crypto";

/** What an endpoint is sent. */
export interface WebhookPayload {
  webhook_event: string;
  webhook_timestamp: string;
  webhook_delivery_id: string;
  webhook_data: Record<string, unknown>;
}

/** Seconds that the clocks of both sides may be apart, the way of the delivery included. */
const TOLERANCE = 300;

export class WebhookError extends Error {
  override readonly name: string = "WebhookError";
}

/**
 * Checks and reads a delivery (rule 16). `body` has to be the text as it came: read and written
 * again, it is another one.
 */
export function verifyWebhook(
  body: string,
  signature: string | undefined,
  secret: string,
  now: number = Date.now() / 1000,
): WebhookPayload {
  const parts = (signature ?? "").split(",");
  const value = (name: string): string | undefined =>
    parts.find((part) => part.startsWith(name))?.slice(name.length);
  const [time, given] = [value("t="), value("v1=")];
  if (time === undefined || given === undefined || !/^\d+$/.test(time)) {
    throw new WebhookError("the signature header is malformed");
  }
  if (Math.abs(now - Number(time)) > TOLERANCE) {
    throw new WebhookError("the signature is too old");
  }
  const expected = createHmac("sha256", secret).update(`${time}.${body}`).digest("hex");
  const [one, other] = [Buffer.from(expected), Buffer.from(given)];
  if (one.length !== other.length || !timingSafeEqual(one, other)) {
    throw new WebhookError("the signature is not of this body");
  }
  return JSON.parse(body) as WebhookPayload;
}

// Calls of the public API, at the server that this page is from.

import { authorization } from "./playground-key.js";

const OPTIONS = { credentials: "omit", cache: "no-store", redirect: "error", referrerPolicy: "no-referrer" };

function headers(more) {
  const key = authorization();
  return { Accept: "application/json", ...(key && { Authorization: key }), ...more };
}

/**
 * A call and its answer: `{ method, path, status, ms, text, body, replayed }`. Status 0 stands for
 * no answer, with the reason as `failure`.
 */
export async function call(method, path, { body, idempotencyKey, signal } = {}) {
  const asked = { method, path };
  const began = performance.now();
  const took = () => Math.round(performance.now() - began);
  try {
    const response = await fetch(path, {
      ...OPTIONS,
      method,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: headers({
        ...(body !== undefined && { "Content-Type": "application/json" }),
        ...(idempotencyKey && { "Idempotency-Key": idempotencyKey }),
      }),
    });
    const text = await response.text();
    return {
      ...asked,
      status: response.status,
      ms: took(),
      text,
      body: parse(text),
      replayed: response.headers.get("Idempotency-Replayed") === "true",
    };
  } catch (failure) {
    if (failure.name === "AbortError") throw failure;
    return { ...asked, status: 0, ms: took(), text: "", body: null, failure: "The server did not answer." };
  }
}

export const succeeded = (answer) => answer.status >= 200 && answer.status < 300;

/** What went wrong, in the server's words. */
export function reason(answer) {
  const error = answer.body?.error;
  return answer.failure ?? (error ? `${error.message} (${error.code})` : `HTTP ${answer.status}`);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * Tells `heard(name, data)` what happens to a generation until it has ended: by the stream of its
 * events, and where that breaks by asking again and again. Gives the answer after which nothing
 * more can be known, or null. An EventSource could not say the key.
 */
export async function follow(id, heard, signal) {
  let last = "";
  for (let broken = 0; broken < 3; broken += 1) {
    const before = last;
    const end = await listen(id, last, signal, (event) => {
      last = event.id ?? last;
      heard(event.name, event.data);
    });
    if (end === "heard") return null;
    if (end === "refused") break;
    if (last !== before) broken = 0;
    await pause(1000, signal);
  }
  return poll(id, heard, signal);
}

/** Whether the stream was `heard` to its end, `refused`, or `broken` on the way. */
async function listen(id, last, signal, heard) {
  const response = await fetch(`/v1/content/${id}/events?attempts=true`, {
    ...OPTIONS,
    signal,
    headers: headers({ Accept: "text/event-stream", ...(last && { "Last-Event-ID": last }) }),
  }).catch((failure) => {
    if (failure.name === "AbortError") throw failure;
    return null;
  });
  if (response === null) return "broken";
  if (response.status === 204) return "heard";
  if (!response.ok) return "refused";
  let end = "broken";
  try {
    for await (const event of parseEvents(response.body)) {
      if (event.data.generation !== undefined) end = "heard";
      heard(event);
    }
  } catch (failure) {
    if (failure.name === "AbortError") throw failure;
  }
  return end;
}

/** The events of a stream (https://html.spec.whatwg.org/#event-stream-interpretation). */
async function* parseEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const field = (name) => block.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const data = field("data");
      if (data !== undefined) yield { id: field("id"), name: field("event"), data: JSON.parse(data) };
    }
  }
}

/** The same by asking. Gives the answer that ended it, if that was an error. */
async function poll(id, heard, signal) {
  for (let failed = 0; failed < 5; ) {
    const answer = await call("GET", `/v1/content/${id}`, { signal });
    if (succeeded(answer)) {
      failed = 0;
      const record = answer.body.data;
      const status = record.generation_status;
      const isOver = status !== "pending" && status !== "processing";
      heard("poll", { generation_status: status, timestamp: record.generation_started_at, ...(isOver && { generation: record }) });
      if (isOver) return null;
    } else if (answer.status >= 400 && answer.status < 500 && answer.status !== 429) {
      return answer;
    } else {
      failed += 1;
      if (failed === 5) return answer;
    }
    await pause(2000, signal);
  }
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}

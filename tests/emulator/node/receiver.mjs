// A webhook receiver that keeps what it gets, and small things the checks share.

import { once } from "node:events";
import { createServer } from "node:http";

export const URL_BASE = process.env.EMULATOR_URL;
// No check waits longer; only one that fails comes near it.
const LIMIT_MS = 60_000;

export class Receiver {
  #calls = [];
  #waiting = [];
  #server;

  async start() {
    this.#server = createServer((request, response) => {
      const chunks = [];
      request.on("data", (chunk) => chunks.push(chunk));
      request.on("end", () => {
        const call = { headers: request.headers, body: Buffer.concat(chunks).toString() };
        const waiting = this.#waiting.shift();
        waiting ? waiting(call) : this.#calls.push(call);
        response.end();
      });
    }).listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.url = `http://127.0.0.1:${this.#server.address().port}/hook`;
    return this;
  }

  next() {
    const call = this.#calls.shift();
    if (call) return Promise.resolve(call);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("nobody called")), LIMIT_MS);
      this.#waiting.push((call) => {
        clearTimeout(timer);
        resolve(call);
      });
    });
  }

  stop() {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

export async function bytes(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}

export const isPng = (data) => data.subarray(1, 4).toString() === "PNG";
export const isMp4 = (data) => data.subarray(4, 8).toString() === "ftyp";

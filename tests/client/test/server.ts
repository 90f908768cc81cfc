/** The server under test, and what the tests put between it and the client. */
import { execFile } from "node:child_process";
import { createServer, request, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import { BabySea, type Options } from "../src/client.js";

function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined) {
    throw new Error(`${name} is not set: these tests are started by tests/it/client.rs`);
  }
  return value;
}

export const url = setting("BABYSEA_URL");
export const key = setting("BABYSEA_KEY");
export const accountId = setting("BABYSEA_ACCOUNT");
const command = JSON.parse(setting("BABYSEA_COMMAND")) as string[];

/** Makes a client of the server, or of what stands before it. */
export function client(options: Partial<Options> = {}): BabySea {
  return new BabySea({ apiKey: key, baseUrl: url, ...options });
}

/** A request without the client, as the first account. */
export function raw(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { Authorization: `Bearer ${key}`, ...init.headers };
  return fetch(url + path, { ...init, headers });
}

/** Runs a command of the operator. */
export async function operator<T>(...line: string[]): Promise<T> {
  const [program, ...global] = command;
  const { stdout } = await promisify(execFile)(program!, [...global, ...line, "--json"]);
  return JSON.parse(stdout) as T;
}

/** An account of its own, with a key. */
export async function newAccount(plan: string, credits: string): Promise<{ key: string; id: string }> {
  const line = ["account", "create", "--name", "Paper Lab", "--kind", "team", "--plan", plan];
  const { account_id: id } = await operator<{ account_id: string }>(...line, "--credits", credits);
  const made = ["key", "create", "--account", id, "--name", "test", "--preset", "full_access"];
  const { apikey } = await operator<{ apikey: string }>(...made);
  return { key: apikey, id };
}

export interface Seen {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** What a stand-in does with a request: an answer, a broken connection, or the real server. */
export type Reaction =
  | { status: number; headers?: Record<string, string>; body: string }
  | "break"
  | "forward";

export interface StandIn {
  url: string;
  seen: Seen[];
  close(): void;
}

/** A server that keeps what it gets, between the client and the real one. */
export async function standIn(react: (seen: Seen, count: number) => Reaction): Promise<StandIn> {
  const seen: Seen[] = [];
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      const { method = "", url: path = "", headers } = incoming;
      const one = { method, path, headers, body };
      seen.push(one);
      const reaction = react(one, seen.length);
      if (reaction === "break") {
        incoming.socket.destroy();
      } else if (reaction === "forward") {
        const target = request(url + path, { method, headers }, (answer) => {
          outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
          answer.pipe(outgoing);
        });
        target.end(body);
      } else {
        outgoing.writeHead(reaction.status, reaction.headers);
        outgoing.end(reaction.body);
      }
    });
  });
  return { url: await listen(server), seen, close: () => close(server) };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function close(server: Server): void {
  server.close();
  server.closeAllConnections();
}

/** A sleep that is over at once, and the waits that were asked of it. */
export function fakeSleep(): { sleep: (ms: number) => Promise<void>; waits: number[] } {
  const waits: number[] = [];
  return { sleep: async (ms) => void waits.push(ms), waits };
}

/** Waits until something is so, with a limit. */
export async function until<T>(what: string, ask: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const end = Date.now() + 20_000;
  for (;;) {
    const found = await ask();
    if (found !== undefined) {
      return found;
    }
    if (Date.now() > end) {
      throw new Error(`waited in vain until ${what}`);
    }
    await new Promise((done) => setTimeout(done, 20));
  }
}

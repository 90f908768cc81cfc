// The life of a generation as a timeline: accepted, tried at one provider after the other, ended.

import { badge, byId, element, icon } from "./element.js";

const ATTEMPT = {
  pending: ["loader", "info", "Running"],
  used: ["circle-check", "good", "Used"],
  failed: ["x", "bad", "Failed"],
  canceled: ["ban", "warning", "Canceled"],
  cancelled: ["ban", "warning", "Canceled"],
  discarded: ["ban", "warning", "Discarded"],
};
const END = {
  succeeded: ["circle-check", "good", "Succeeded"],
  failed: ["circle-alert", "bad", "Failed"],
  canceled: ["ban", "warning", "Canceled"],
};

/** One generation, from the press of the button on. */
export class Life {
  #began = performance.now();
  #order;
  #attempts = new Map();
  #status = "sending";
  #id = null;
  #started = null;
  #record = null;
  #note = null;
  #clock;

  /** `order`: who is expected to be tried. */
  constructor(order) {
    this.#order = order;
    this.#clock = setInterval(() => this.#tick(), 100);
    this.#draw("Sending the request");
  }

  get id() {
    return this.#id;
  }

  get isOver() {
    return !["sending", "pending", "processing"].includes(this.#status);
  }

  /** The server has taken it. */
  accepted(created) {
    this.#id = created.generation_id;
    this.#order = created.generation_provider_order ?? this.#order;
    this.#status = created.generation_status ?? "pending";
    this.#draw("Accepted");
  }

  /** The server has not; what providers said stands in its answer. */
  refused(error) {
    for (const [index, { provider, ...failure }] of (error?.provider_errors ?? []).entries()) {
      this.#attempts.set(index + 1, { provider, outcome: "failed", error: failure });
    }
    this.#end("refused", "Refused");
  }

  /** Something that its stream tells, or asking has shown. */
  heard(name, data) {
    if (name === "generation.attempt") {
      this.#attempts.set(data.attempt_order, data);
      this.#draw(`${data.provider}: ${(ATTEMPT[data.outcome] ?? ATTEMPT.pending)[2]}`);
      return;
    }
    this.#status = data.generation_status;
    if (this.#status === "processing") this.#started = data.timestamp;
    if (data.generation === undefined) this.#draw(this.#status === "processing" ? "A provider has it" : "Accepted");
    else this.ended(data.generation);
  }

  /** Its record after the end. */
  ended(record) {
    this.#record = record;
    this.#infer(record);
    this.#end(record.generation_status, END[record.generation_status]?.[2] ?? "Ended");
  }

  /** Nothing more will be known of it. */
  lost(title, note) {
    this.#note = [title, note];
    this.#end("lost", `${title}: ${note}`);
  }

  /** It is not looked at any more. */
  leave() {
    clearInterval(this.#clock);
  }

  // Asking does not tell attempts; but the order and who was used do.
  #infer({ generation_provider_order: order, generation_provider_used: used }) {
    if (this.#attempts.size > 0 || used === null) return;
    const tried = order.slice(0, order.indexOf(used) + 1);
    for (const [index, provider] of tried.entries()) {
      this.#attempts.set(index + 1, { provider, outcome: provider === used ? "used" : "failed" });
    }
  }

  #end(status, said) {
    this.#status = status;
    clearInterval(this.#clock);
    this.#draw(said);
  }

  #tick() {
    const clock = byId("life-clock");
    if (clock !== null) clock.textContent = seconds(performance.now() - this.#began);
  }

  #draw(said) {
    byId("life-status").textContent = said;
    const head = element(
      "p",
      { class: "life-head" },
      element("strong", {}, "Timeline"),
      this.#id !== null && element("code", { class: "soft" }, this.#id),
      element("span", { class: "pane-end soft", id: "life-clock" }, this.#total()),
    );
    const attempts = [...this.#attempts.entries()].sort(([a], [b]) => a - b).map(([, attempt]) => attempt);
    const items = [this.#first(), ...attempts.map(attemptItem), ...this.#rest(attempts), ...this.#last()];
    byId("life").replaceChildren(element("section", { class: "life", "aria-label": "Timeline" }, head, element("ol", {}, ...items)));
  }

  #total() {
    const total = this.#record?.generation_metrics_total_time;
    return total == null ? seconds(performance.now() - this.#began) : `${total} s`;
  }

  #first() {
    if (this.#status === "sending") return item("loader", "info", ["Sending", badge("info", "Waiting for a provider")]);
    if (this.#status === "refused") return item("circle-alert", "bad", ["Refused"], "Nothing was generated, and nothing is paid.");
    return item("check", "good", ["Accepted"]);
  }

  /** Who has not been tried. */
  #rest(attempts) {
    if (this.#status === "refused" || this.#status === "canceled" || this.#status === "failed") return [];
    const tried = new Set(attempts.map((attempt) => attempt.provider));
    const text = this.#status === "succeeded" ? "Not needed" : "Next, should it be needed";
    return this.#order
      .filter((provider) => !tried.has(provider))
      .map((provider) => item("clock", "quiet", [element("code", {}, provider), element("span", { class: "soft" }, text)]));
  }

  #last() {
    if (this.#status === "lost") return [item("info", "warning", [this.#note[0]], this.#note[1])];
    const [symbol, tone, text] = END[this.#status] ?? [];
    if (symbol === undefined) return [];
    const record = this.#record ?? {};
    const { generation_error: error, generation_error_code: code, generation_metrics_predict_time: predict } = record;
    const refund = this.#status === "succeeded" ? null : "The credit is refunded.";
    const said = error ? `${error} (${code}) ${refund}` : (refund ?? (!predict ? null : `${predict} s at the provider.`));
    return [item(symbol, tone, [text], said)];
  }
}

function attemptItem({ provider, outcome, error, submitted_at: from, resolved_at: to }) {
  const [symbol, tone, text] = ATTEMPT[outcome] ?? ATTEMPT.pending;
  const took = from && to ? seconds(new Date(to) - new Date(from)) : null;
  return item(
    symbol,
    tone,
    [element("code", {}, provider), badge(tone, text), took !== null && element("span", { class: "soft" }, took)],
    error && `${error.message} (${error.code})`,
  );
}

function item(symbol, tone, line, more) {
  return element(
    "li",
    { class: `life-item ${tone}` },
    element("span", { class: `life-mark${symbol === "loader" ? " running" : ""}` }, symbol !== "loader" && icon(symbol)),
    element("div", {}, element("p", { class: "life-line" }, ...line.filter(Boolean)), more && element("p", { class: "soft" }, more)),
  );
}

const seconds = (ms) => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;

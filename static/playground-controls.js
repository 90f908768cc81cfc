// A control for each type of field. Each gives `{ root, read, reset }`: `read` tells the value,
// undefined when there is none, and what is wrong with it.

import { element, icon } from "./element.js";

const TEXT_MAX = 10_000;
const AREA_FROM = 500;
const UNSET = "";

/** The control for a field; `id` is that of what the label names. */
export function control(id, field) {
  switch (field.type) {
    case "boolean":
      return field.default === null ? choice(id, { ...field, values: [true, false] }) : toggle(id, field);
    case "integer":
    case "number":
      return field.values ? choice(id, field) : number(id, field);
    case "url":
      return url(id);
    case "url_array":
      return urls(id, field);
    case "string_array":
      return several(id, field);
    default:
      return field.values ? choice(id, field) : text(id, field);
  }
}

function text(id, field) {
  const max = Math.min(field.max_length ?? TEXT_MAX, TEXT_MAX);
  const isLong = max >= AREA_FROM;
  const input = element(isLong ? "textarea" : "input", { id, autocomplete: "off", ...(isLong ? { rows: 4 } : { type: "text" }) });
  const counter = element("p", { class: "help counter" });
  const length = () => [...input.value].length;
  const tell = () => (counter.textContent = `${length().toLocaleString("en")} / ${max.toLocaleString("en")}`);
  input.addEventListener("input", tell);
  const reset = () => {
    input.value = field.default ?? "";
    tell();
  };
  reset();
  return {
    root: element("div", {}, input, isLong && counter),
    input,
    reset,
    read: () => ({
      value: input.value.trim() === "" ? undefined : input.value,
      problem: length() > max && `At most ${max.toLocaleString("en")} characters.`,
    }),
  };
}

function number(id, field) {
  const isWhole = field.type === "integer";
  const { min, max } = field;
  const input = element("input", { id, type: "number", min, max, step: isWhole ? 1 : "any", autocomplete: "off", inputmode: isWhole ? "numeric" : "decimal" });
  const reset = () => (input.value = field.default ?? "");
  const problem = (value) => {
    if (input.validity.badInput) return "A number, please.";
    if (value === undefined) return false;
    if (!Number.isFinite(value)) return "A finite number, please.";
    if (isWhole && !Number.isSafeInteger(value)) return "A whole number, please.";
    return (value < min || value > max) && `From ${min.toLocaleString("en")} to ${max.toLocaleString("en")}.`;
  };
  reset();
  return {
    root: input,
    input,
    reset,
    read: () => {
      const value = input.value === "" ? undefined : Number(input.value);
      return { value, problem: problem(value) };
    },
  };
}

function choice(id, field) {
  const option = (value) => element("option", { value: String(value) }, String(value));
  const needsOne = (field.default ?? null) === null;
  const input = element("select", { id }, needsOne && element("option", { value: UNSET }, field.required ? "Select…" : "Not set"), ...field.values.map(option));
  const reset = () => (input.value = field.default ?? UNSET);
  reset();
  return { root: input, input, reset, read: () => ({ value: field.values.find((value) => String(value) === input.value) }) };
}

function toggle(id, field) {
  const input = element("input", { id, type: "checkbox", role: "switch" });
  const reset = () => (input.checked = field.default);
  reset();
  return { root: element("div", { class: "toggle" }, input), input, reset, read: () => ({ value: input.checked }) };
}

function several(id, field) {
  const boxes = field.values.map((value) => element("input", { type: "checkbox", value }));
  const root = element("div", { class: "checks", id, role: "group" }, ...boxes.map((box) => element("label", {}, box, element("span", { class: "mono" }, box.value))));
  const reset = () => boxes.forEach((box) => (box.checked = field.default?.includes(box.value) ?? false));
  reset();
  return {
    root,
    reset,
    read: () => {
      const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
      return { value: chosen.length === 0 ? undefined : chosen };
    },
  };
}

function urlInput(id, label) {
  return element("input", { id, type: "url", placeholder: "https://", autocomplete: "off", spellcheck: "false", "aria-label": label });
}

function isAddress(text) {
  try {
    return ["https:", "http:"].includes(new URL(text).protocol) && text.length <= TEXT_MAX;
  } catch {
    return false;
  }
}

const addressProblem = (texts) => !texts.every(isAddress) && "An address that begins with https:// or http://.";

function url(id) {
  const input = urlInput(id);
  return {
    root: input,
    input,
    reset: () => (input.value = ""),
    read: () => {
      const value = input.value.trim();
      return value === "" ? {} : { value, problem: addressProblem([value]) };
    },
  };
}

function urls(id, field) {
  const rows = element("div", { class: "url-rows" });
  const add = element("button", { class: "button small", type: "button" }, icon("plus"), "Add URL");
  const inputs = () => [...rows.querySelectorAll("input")];
  const changed = () => {
    inputs().forEach((input, index) => {
      input.id = index === 0 ? id : `${id}-${index}`;
      input.setAttribute("aria-label", `URL ${index + 1}`);
    });
    add.hidden = inputs().length >= field.max_items;
    rows.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const append = () => {
    const input = urlInput();
    const remove = element("button", { class: "icon-button bordered", type: "button", "aria-label": "Remove this URL", title: "Remove" }, icon("x"));
    const row = element("div", { class: "with-button" }, input, remove);
    remove.addEventListener("click", () => {
      const next = row.nextElementSibling ?? row.previousElementSibling;
      if (next === null) input.value = "";
      else row.remove();
      changed();
      (next?.querySelector("input") ?? input).focus();
    });
    rows.append(row);
    changed();
    return input;
  };
  add.addEventListener("click", () => append().focus());
  const reset = () => {
    rows.replaceChildren();
    append();
  };
  reset();
  return {
    root: element("div", {}, rows, add),
    reset,
    read: () => {
      const value = inputs().map((input) => input.value.trim()).filter((text) => text !== "");
      if (value.length === 0) return {};
      const few = value.length < field.min_items && `At least ${field.min_items}.`;
      return { value, problem: addressProblem(value) || few };
    },
  };
}

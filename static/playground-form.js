// The request body as a form that is made from the fields of a model.

import { badge, element, icon } from "./element.js";
import { control } from "./playground-controls.js";
import { describe } from "./playground-schema.js";

const PROMPT = "generation_prompt";
const ORDER = "generation_provider_order";
/** Less than the API takes: this page is for trying (`spec/dashboard.md` 4). */
const PROMPT_MAX = 5000;

/** The form. `changed` is called whenever the body may be another. */
export class Form {
  #root;
  #changed;
  /** Name → `{ field, control, error, root, touched }`. */
  #fields = new Map();

  constructor(root, changed) {
    this.#root = root;
    this.#changed = changed;
    root.addEventListener("input", (event) => {
      const name = event.target.closest("[data-field]")?.dataset.field;
      if (this.#fields.has(name)) this.#fields.get(name).touched = true;
      this.#told();
    });
  }

  /** Makes the controls. A prompt that was typed for another model stays. */
  show(model) {
    const prompt = this.#fields.get(PROMPT)?.control.read().value;
    this.#fields.clear();
    const all = { ...model.model_fields, [ORDER]: order(model.model_supported_provider) };
    this.#root.replaceChildren(...Object.entries(all).map(([name, field]) => this.#add(name, field)));
    if (prompt !== undefined && this.#fields.has(PROMPT)) {
      const { input } = this.#fields.get(PROMPT).control;
      input.value = prompt;
      input.dispatchEvent(new Event("input"));
    }
    this.#told();
  }

  /** Back to the defaults of the model. */
  reset() {
    for (const entry of this.#fields.values()) {
      entry.control.reset();
      entry.touched = false;
    }
    this.#told();
  }

  /** What would be sent: the body, which required fields are missing, and which are wrong. */
  read() {
    const body = {};
    const [missing, wrong] = [[], []];
    for (const [name, { field, control }] of this.#fields) {
      const { value, problem } = control.read();
      if (value !== undefined) body[name] = value;
      else if (field.required) missing.push(name);
      if (problem) wrong.push(name);
    }
    for (const [name, { field }] of this.#fields) {
      if (field.needs && name in body && !(field.needs in body)) wrong.push(name);
    }
    return { body, missing, wrong };
  }

  /** Shows what the server says of fields, and puts the focus on the first of them. */
  blame(issues) {
    const known = issues.filter((issue) => this.#fields.has(issue.field));
    for (const { field, reason } of known) this.#complain(field, reason);
    return known.length > 0;
  }

  #add(name, field) {
    const id = `field-${name}`;
    const max = Math.min(field.max_length, PROMPT_MAX);
    const made = control(id, name === PROMPT ? { ...field, max_length: max } : field);
    const error = element("p", { class: "error", id: `${id}-error`, hidden: true });
    const target = made.input ?? made.root;
    target.setAttribute("aria-describedby", `${id}-error`);
    if (field.required) target.setAttribute("aria-required", "true");
    const isGroup = made.input === undefined;
    if (isGroup) {
      made.root.setAttribute("role", "group");
      made.root.setAttribute("aria-labelledby", `${id}-label`);
    }
    const root = element(
      "div",
      { class: `field type-${field.type}${field.values ? " has-values" : ""}`, "data-field": name, title: describe(name) },
      element(
        "div",
        { class: "field-name" },
        element(isGroup ? "span" : "label", { id: `${id}-label`, ...(!isGroup && { for: id }), class: "mono" }, name),
        field.required && badge("info", "required"),
      ),
      made.root,
      error,
    );
    this.#fields.set(name, { field, control: made, error, root, touched: false });
    return root;
  }

  #told() {
    const { body } = this.read();
    for (const [name, entry] of this.#fields) {
      const { field, control, touched } = entry;
      const lacks = field.needs && name in body && !(field.needs in body) && `Needs ${field.needs}.`;
      this.#complain(name, (touched && (control.read().problem || lacks)) || null);
    }
    this.#changed();
  }

  #complain(name, text) {
    const { control, error, root } = this.#fields.get(name);
    error.hidden = text === null;
    error.replaceChildren(...(text === null ? [] : [icon("circle-alert"), text]));
    root.classList.toggle("invalid", text !== null);
    const target = control.input ?? control.root;
    if (text === null) target.removeAttribute("aria-invalid");
    else if (control.input) target.setAttribute("aria-invalid", "true");
  }
}

/** `fastest` where there is a choice, and the stack of the model. */
function order(providers) {
  const stack = providers.join(", ");
  const values = providers.length > 1 ? ["fastest", stack] : [stack];
  return { type: "string", required: false, values, default: values[0] };
}

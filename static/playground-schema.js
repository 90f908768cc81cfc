// What the fields of a model are, in words.

import { badge, byId, element, icon } from "./element.js";
import { count } from "./playground-answer.js";

const DESCRIPTIONS = {
  generation_prompt: "What to generate, in your own words.",
  generation_ratio: "Width to height.",
  generation_output_format: "The format of the files.",
  generation_output_number: "How many to make. Each is paid for.",
  generation_duration: "Length of the video in seconds.",
  generation_resolution: "How fine it is. May change the price.",
  generation_generate_audio: "Whether the video has sound. May change the price.",
  generation_input_file: "Public addresses of pictures to start from: JPEG, PNG or WebP.",
  generation_input_file_last_content: "Public address of the picture that the video ends with.",
  generation_provider_order: "Who is tried, in which order. fastest ranks them by what they did lately.",
  generation_seed: "The same seed with the same request gives much the same result.",
  generation_negative_prompt: "What to keep out.",
  generation_guidance_scale: "How closely the prompt is followed.",
  generation_num_inference_steps: "More steps are finer, and slower.",
  generation_output_quality: "Compression of the files: 100 is best.",
  generation_enhance_prompt: "Has the prompt written out before it is used.",
  generation_prompt_extend: "Has the prompt written out before it is used.",
  generation_moderation: "Stricter checks of the content.",
  generation_watermark: "Puts a visible mark on the result.",
  generation_camera_fixed: "Keeps the camera where it is.",
  generation_background: "Transparent or filled.",
  generation_raw: "Less processed, more natural.",
  generation_image_prompt_strength: "How much the input picture counts against the prompt.",
  generation_sandbox_latency_ms: "How long the sandbox takes, in milliseconds.",
  generation_sandbox_outcome: "What becomes of the job in the sandbox.",
  generation_sandbox_fail_providers: "Sandbox providers that refuse the job: for trying failover.",
};

/** One sentence about a field; empty when its name says it all. */
export const describe = (name) => DESCRIPTIONS[name] ?? "";

/** Shows the fields of a model. */
export function showSchema(model, route) {
  const fields = Object.entries(model.model_fields);
  const required = fields.filter(([, field]) => field.required).length;
  byId("schema-count").textContent = count(fields.length, "field");
  byId("schema").replaceChildren(
    element(
      "p",
      { class: "schema-route" },
      badge("info", "POST"),
      element("code", {}, route),
      element("span", { class: "soft" }, `${required} required, ${fields.length - required} optional`),
    ),
    element("dl", { class: "schema" }, ...fields.flatMap(([name, field]) => rows(name, field))),
    element("ul", { class: "rules" }, ...model.model_rules.map((rule) => element("li", {}, icon("info"), rule))),
  );
}

function rows(name, field) {
  const limits = constraints(field);
  return [
    element("dt", {}, element("code", {}, name), badge("", field.type.replaceAll("_", " ")), field.required && badge("info", "required")),
    element(
      "dd",
      {},
      describe(name) !== "" && element("p", {}, describe(name)),
      limits.length > 0 && element("p", { class: "chips" }, ...limits.map((text) => element("span", { class: "chip" }, text))),
    ),
  ];
}

/** What a value has to be, in a few words each. */
function constraints(field) {
  const said = [];
  const say = (name, value) => value !== undefined && value !== null && said.push(`${name} ${value.toLocaleString?.("en") ?? value}`);
  say("min", field.min);
  say("max", field.max);
  say("min length", field.min_length);
  say("max length", field.max_length);
  say("min items", field.min_items);
  say("max items", field.max_items);
  say("default", typeof field.default === "number" ? field.default : field.default?.toString());
  if (field.needs) said.push(`needs ${field.needs}`);
  return [...said, ...(field.values ?? []).map(String)];
}

// What was generated: pictures, and films that play.

import { byId, element, icon } from "./element.js";

/** Shows the files of a record; none clears what was shown. */
export function showOutputs(record) {
  const files = record?.generation_output_file ?? [];
  const removed = record?.generation_removed === true;
  byId("outputs").replaceChildren(
    ...(files.length > 0 ? [element("div", { class: "outputs" }, ...files.map((url, index) => figure(url, index, record)))] : []),
    ...(removed ? [element("p", { class: "soft" }, "Its files were removed.")] : []),
  );
}

function figure(url, index, record) {
  const label = `Output ${index + 1}`;
  const size = element("span", { class: "soft" });
  const media = record.generation_duration === undefined ? picture(url, record.generation_prompt, size) : film(url, label, size);
  const link = (symbol, text, more) => element("a", { class: "icon-button", href: url, title: text, "aria-label": `${text}: ${label}`, ...more }, icon(symbol));
  return element(
    "figure",
    { class: "output" },
    media,
    element(
      "figcaption",
      {},
      element("span", {}, label),
      size,
      element("span", { class: "pane-end" }, link("external-link", "Open", { target: "_blank", rel: "noopener noreferrer" }), link("download", "Download", { download: "" })),
    ),
  );
}

function picture(url, prompt, size) {
  const image = element("img", { src: url, alt: `Generated from: ${prompt}` });
  image.addEventListener("load", () => (size.textContent = `${image.naturalWidth} × ${image.naturalHeight}`));
  return image;
}

function film(url, label, size) {
  const video = element("video", { src: url, controls: true, loop: true, playsinline: true, "aria-label": label });
  video.muted = true;
  video.autoplay = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  video.addEventListener("loadedmetadata", () => (size.textContent = `${video.videoWidth} × ${video.videoHeight}, ${video.duration.toFixed(1)} s`));
  return video;
}

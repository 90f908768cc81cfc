// Choosing a model: by type, and by a search over lab and identifier. The type and the model are
// all that this page lets the browser remember, for as long as its tab is open.

import { byId } from "./element.js";

const STORED = "playground";

const button = byId("model-button");
const menu = byId("models");
const search = byId("model-search");
const options = [...menu.querySelectorAll("[role=option]")];
const media = [...document.querySelectorAll("input[name=media]")];

let chosen = null;
let active = null;

/** Begins with what was chosen before, or the first model; `listener` hears `(identifier, media)`. */
export function chooseModels(listener) {
  const choose = (option) => {
    if (option === undefined) return;
    chosen?.setAttribute("aria-selected", "false");
    chosen = option;
    chosen.setAttribute("aria-selected", "true");
    const { model, media: kind } = chosen.dataset;
    byId("model-name").textContent = model;
    media.find((radio) => radio.value === kind).checked = true;
    sessionStorage.setItem(STORED, JSON.stringify({ media: kind, model }));
    listener(model, kind);
  };
  const pick = (option) => {
    menu.hidePopover();
    button.focus();
    choose(option);
  };
  for (const radio of media) radio.addEventListener("change", () => choose(of(radio.value)[0]));
  for (const option of options) option.addEventListener("click", () => pick(option));
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (active !== null) pick(active);
  });
  choose(remembered() ?? of("image")[0] ?? options[0]);
}

/** What the address asks for, or what this tab had before. */
function remembered() {
  const asked = new URLSearchParams(location.search).get("model") ?? stored();
  return options.find((option) => option.dataset.model === asked);
}

function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(STORED))?.model;
  } catch {
    return null;
  }
}

const of = (kind) => options.filter((option) => option.dataset.media === kind);

// Those of the type that contain every word.
function filter() {
  const kind = media.find((radio) => radio.checked).value;
  const words = search.value.toLowerCase().split(/\s+/);
  for (const option of options) {
    const has = words.every((word) => option.dataset.model.includes(word));
    option.hidden = option.dataset.media !== kind || !has;
  }
  for (const group of menu.querySelectorAll("[role=group]")) {
    group.hidden = !group.querySelector("[role=option]:not([hidden])");
  }
  const found = shown();
  byId("models-none").hidden = found.length > 0;
  activate(found.includes(chosen) ? chosen : (found[0] ?? null));
}

const shown = () => options.filter((option) => !option.hidden);

function activate(option) {
  active?.classList.remove("active");
  active = option;
  if (option === null) {
    search.removeAttribute("aria-activedescendant");
    return;
  }
  option.classList.add("active");
  option.scrollIntoView({ block: "nearest" });
  search.setAttribute("aria-activedescendant", option.id);
}

menu.addEventListener("toggle", (event) => {
  if (event.newState !== "open") return;
  search.value = "";
  filter();
  search.focus();
});
search.addEventListener("input", filter);
search.addEventListener("keydown", (event) => {
  // In other menus these keys go from link to link; here they are of the text and the list.
  if (["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) event.stopPropagation();
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  const found = shown();
  if (found.length > 0) activate(found[(found.indexOf(active) + step + found.length) % found.length]);
});

// The parts of the page: three columns of any width, or on small screens one behind each tab.

import { byId } from "./element.js";

const WIDTH_MIN = 15;
const WIDTH_MAX = 50;
const STEP = 2;

/** Tabs with one tab stop and arrow keys; `chosen` is called with the tab. */
export function rove(tabs, chosen) {
  const choose = (tab) => {
    for (const other of tabs) {
      other.setAttribute("aria-selected", String(other === tab));
      other.tabIndex = other === tab ? 0 : -1;
    }
    chosen(tab);
  };
  for (const tab of tabs) {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const at = tabs.indexOf(tab);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1 + tabs.length, Home: 0, End: tabs.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = tabs[to % tabs.length];
      next.focus();
      choose(next);
    });
  }
  return choose;
}

const main = byId("main");
const tabs = [...document.querySelectorAll("[data-pane]")];
const choose = rove(tabs, (tab) => (main.dataset.shown = tab.dataset.pane));

/** Brings a part forward where only one is shown. */
export function showPane(name) {
  choose(tabs.find((tab) => tab.dataset.pane === name));
}

const panes = byId("panes");
splitter(byId("split-schema"), "--schema-width", 27, (x, box) => x - box.left);
splitter(byId("split-response"), "--response-width", 38, (x, box) => box.right - x);

/** Sets a width in percent: by the pointer, and by the arrow keys. */
function splitter(bar, property, start, measure) {
  const grows = property === "--schema-width" ? "ArrowRight" : "ArrowLeft";
  let width = start;
  const set = (percent) => {
    width = Math.min(WIDTH_MAX, Math.max(WIDTH_MIN, percent));
    panes.style.setProperty(property, `${width}%`);
    bar.setAttribute("aria-valuenow", String(Math.round(width)));
  };
  bar.setAttribute("aria-valuemin", String(WIDTH_MIN));
  bar.setAttribute("aria-valuemax", String(WIDTH_MAX));
  set(start);
  bar.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    bar.focus();
    bar.setPointerCapture(event.pointerId);
  });
  bar.addEventListener("pointermove", (event) => {
    if (!bar.hasPointerCapture(event.pointerId)) return;
    const box = panes.getBoundingClientRect();
    set((100 * measure(event.clientX, box)) / box.width);
  });
  bar.addEventListener("dblclick", () => set(start));
  bar.addEventListener("keydown", (event) => {
    if (event.key === "Home" || event.key === "End") set(event.key === "Home" ? WIDTH_MIN : WIDTH_MAX);
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") set(width + (event.key === grows ? STEP : -STEP));
    else return;
    event.preventDefault();
  });
}

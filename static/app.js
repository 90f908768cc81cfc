// What every page loads. Each module looks after its own `data-` attributes; pages work without
// any of them, only less quickly.

import "./copy.js";
import "./dialogs.js";
import "./live.js";
import "./menus.js";
import "./rows.js";
import "./tables.js";
import "./theme.js";
import "./toasts.js";
import { localize } from "./regions.js";

localize(document);

// A form is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "true";
  event.submitter?.setAttribute("aria-busy", "true");
});

// A page that comes back from the browser's memory may be sent again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  for (const button of document.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
});

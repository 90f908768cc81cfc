// Dialogs. The server renders them open, at an address of their own; here they become modal, and a
// link with `data-dialog` shows one without leaving the page.

import { fetchPage, localize } from "./regions.js";

function showModal(dialog) {
  dialog.removeAttribute("open");
  dialog.showModal();
  dialog.addEventListener("close", () => dialog.remove(), { once: true });
}

// The address of a dialog is not kept: a reload shows the page, and nothing is sent twice.
for (const dialog of document.querySelectorAll("dialog[open][data-closes]")) {
  showModal(dialog);
  history.replaceState(null, "", dialog.dataset.closes);
}

let opening = false;

document.addEventListener("click", async (event) => {
  const close = event.target.closest("[data-close]");
  if (close) {
    event.preventDefault();
    close.closest("dialog").close();
    return;
  }
  const link = event.target.closest("a[data-dialog]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  // One at a time, however quick the finger is.
  if (opening || document.querySelector("dialog:modal")) return;
  opening = true;
  const invoker = link.closest("[popover]") ? document.querySelector(`[popovertarget="${link.closest("[popover]").id}"]`) : link;
  link.closest("[popover]")?.hidePopover();
  const page = await fetchPage(link.href).catch(() => null);
  opening = false;
  const dialog = page?.querySelector("dialog[open]");
  if (!dialog) {
    location.href = link.href;
    return;
  }
  document.body.append(dialog);
  localize(dialog);
  dialog.addEventListener("close", () => invoker?.focus(), { once: true });
  showModal(dialog);
});

// What is shown once is not closed by the Escape key. Browsers that insist on the second press know
// `closedby`, which the dialog has too.
document.addEventListener(
  "cancel",
  (event) => {
    if (event.target.matches?.("dialog[data-once]")) event.preventDefault();
  },
  true,
);

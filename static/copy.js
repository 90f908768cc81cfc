// Copying, and showing what is hidden.

import { toast } from "./toasts.js";

/** Puts a text on the clipboard and says how that went. */
export async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS, browsers do not let scripts near the clipboard; the old way still works.
    if (!copyBySelection(text, button)) {
      toast("This browser did not allow it. Select the text and copy it by hand.", "error");
      return false;
    }
  }
  return true;
}

function copyBySelection(text, button) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  // Inside of a dialog, outside of which nothing can be selected.
  (button?.closest("dialog") ?? document.body).append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  button?.focus();
  return copied;
}

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy && (await copyText(copy.dataset.copy, copy))) {
    copy.classList.add("done");
    setTimeout(() => copy.classList.remove("done"), 2000);
    toast("Copied to clipboard", "success");
  }
  const reveal = event.target.closest("[data-reveal]");
  if (reveal) {
    const masked = document.getElementById(reveal.dataset.reveal).classList.toggle("masked");
    reveal.textContent = masked ? "Show value" : "Hide value";
  }
});

// A secret is selected as a whole.
document.addEventListener("focusin", (event) => {
  if (event.target.matches("[data-secret]")) event.target.select();
});

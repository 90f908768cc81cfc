// Short messages in the corner, which go by themselves.

/** Shows a message. Kinds: success, error. */
export function toast(text, kind) {
  const message = document.createElement("div");
  message.className = `toast ${kind}`;
  const paragraph = document.createElement("p");
  paragraph.textContent = text;
  message.append(paragraph);
  const toasts = document.getElementById("toasts");
  // A modal dialog covers everything outside of it, so the newest goes inside.
  (document.querySelector("dialog:modal") ?? toasts).append(message);
  if (message.parentElement !== toasts) message.setAttribute("role", "status");
}

// The style sheet fades them out.
document.addEventListener("animationend", (event) => {
  if (event.animationName === "toast-out") event.target.remove();
});

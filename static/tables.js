// Tables: search while typing, order and pages without a reload, selection, and export.

import { copyText } from "./copy.js";
import { replaceRegion } from "./regions.js";
import { toast } from "./toasts.js";

const TYPING_MS = 200;
let asking = new AbortController();
let typing;

async function show(id, href) {
  asking.abort();
  asking = new AbortController();
  const region = document.getElementById(id);
  region?.setAttribute("aria-busy", "true");
  try {
    if (await replaceRegion(id, href, asking.signal)) history.replaceState(null, "", href);
    else location.href = href;
  } catch (error) {
    if (error.name !== "AbortError") location.href = href;
  }
}

function addressOf(form) {
  const query = new URLSearchParams(new FormData(form));
  for (const [name, value] of [...query]) if (value === "") query.delete(name);
  const text = query.toString();
  return text ? `${form.getAttribute("action")}?${text}` : form.getAttribute("action");
}

/** The search that a field belongs to, wherever it stands. */
function searched(field) {
  return field.form?.matches("[data-search]") ? field.form : null;
}

document.addEventListener("input", (event) => {
  const form = searched(event.target);
  if (!form) return;
  clearTimeout(typing);
  typing = setTimeout(() => show(form.dataset.search, addressOf(form)), TYPING_MS);
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-search]");
  // A file of everything that matches is not shown, but saved.
  if (!form || event.submitter?.hasAttribute("formaction")) return;
  event.preventDefault();
  clearTimeout(typing);
  show(form.dataset.search, addressOf(form));
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-swap]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  const href = link.getAttribute("href");
  // A search that follows keeps the order.
  const sort = new URLSearchParams(href.split("?")[1]).get("sort") ?? "";
  const form = document.querySelector(`[data-search="${link.dataset.swap}"]`);
  let field = form?.querySelector("[name=sort]");
  if (form && !field) {
    field = Object.assign(document.createElement("input"), { type: "hidden", name: "sort" });
    form.append(field);
  }
  if (field) field.value = sort;
  show(link.dataset.swap, href);
});

// Selection, of the rows of this page.

document.addEventListener("change", (event) => {
  const region = event.target.closest("[data-region]");
  if (!region || !event.target.matches("[data-select], [data-select-all]")) return;
  const boxes = [...region.querySelectorAll("[data-select]")];
  if (event.target.matches("[data-select-all]")) {
    for (const box of boxes) box.checked = event.target.checked;
  }
  count(region.id);
});

document.addEventListener("region", (event) => count(event.target.id));

function count(id) {
  const region = document.getElementById(id);
  const boxes = [...(region?.querySelectorAll("[data-select]") ?? [])];
  const selected = boxes.filter((box) => box.checked).length;
  const all = region?.querySelector("[data-select-all]");
  if (all) {
    all.checked = boxes.length > 0 && selected === boxes.length;
    all.indeterminate = selected > 0 && selected < boxes.length;
  }
  const button = document.querySelector(`[popovertarget="${id}-actions"]`);
  if (button) button.textContent = selected ? `Actions (${selected})` : "Actions";
}

// Export: of each selected row every element with `data-field`, by its `data-value` or its text.

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy-as], [data-export-as]");
  const menu = button?.closest("[data-export]");
  if (!menu) return;
  const rows = selectedRows(menu.dataset.table);
  menu.hidePopover();
  if (rows.length === 0) {
    toast("Select rows first", "error");
    return;
  }
  const format = button.dataset.copyAs ?? button.dataset.exportAs;
  const text = format === "csv" ? csv(rows) : JSON.stringify(rows, null, 2);
  if (button.dataset.copyAs) {
    if (await copyText(text)) toast(`${rows.length} copied to clipboard`, "success");
  } else {
    download(`${menu.dataset.export}.${format}`, format === "csv" ? "text/csv" : "application/json", text);
  }
});

function selectedRows(id) {
  const boxes = document.getElementById(id).querySelectorAll("[data-select]:checked");
  return [...boxes].map((box) => {
    const fields = box.closest("tr").querySelectorAll("[data-field]");
    return Object.fromEntries([...fields].map((it) => [it.dataset.field, it.dataset.value ?? it.textContent.trim()]));
  });
}

function csv(rows) {
  const names = Object.keys(rows[0]);
  return [names, ...rows.map((row) => names.map((name) => row[name]))]
    .map((cells) => cells.map(cell).join(","))
    .join("\r\n");
}

// A cell that begins like a formula would be run by spreadsheets (OWASP, CSV injection).
function cell(value) {
  const safe = /^[=+\-@\t\r]/.test(value) && !/^-?[\d.]+$/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function download(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

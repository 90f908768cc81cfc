// Forms with rows of fields. All are there from the server; here only those that are filled in, and
// others as they are asked for.

function prepare(root) {
  for (const rows of root.querySelectorAll("[data-rows]:not([data-ready])")) {
    rows.dataset.ready = "";
    const all = [...rows.querySelectorAll("[data-row]")];
    for (const row of all.slice(1)) row.hidden = row.querySelector("input").value === "";
    update(rows);
  }
}

function update(rows) {
  const all = [...rows.querySelectorAll("[data-row]")];
  const shown = all.filter((row) => !row.hidden);
  const add = rows.parentElement.querySelector("[data-row-add]");
  add.disabled = shown.length === all.length;
  for (const row of all) row.querySelector("[data-row-remove]").disabled = shown.length === 1;
}

document.addEventListener("click", (event) => {
  const add = event.target.closest("[data-row-add]");
  if (add) {
    const rows = add.parentElement.querySelector("[data-rows]");
    const row = rows.querySelector("[data-row][hidden]");
    row.hidden = false;
    rows.append(row);
    row.querySelector("input").focus();
    update(rows);
    return;
  }
  const remove = event.target.closest("[data-row-remove]");
  if (remove) {
    const row = remove.closest("[data-row]");
    const rows = row.parentElement;
    for (const input of row.querySelectorAll("input")) {
      input.value = "";
      input.required = false;
    }
    row.hidden = true;
    update(rows);
    rows.querySelector("[data-row]:not([hidden]) input")?.focus();
  }
});

new MutationObserver(() => prepare(document)).observe(document.body, { childList: true });
prepare(document);

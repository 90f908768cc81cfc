// Parts of a page that are fetched again and replaced, so that there is one way to draw them: the
// page itself.

/** The page at this address as a document; null when there is none, or a sign-in in its place. */
export async function fetchPage(href, signal) {
  const response = await fetch(href, { signal, headers: { Accept: "text/html" } });
  const elsewhere = response.redirected && new URL(response.url).pathname !== new URL(href, location).pathname;
  if (!response.ok || elsewhere) return null;
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

/** Replaces the element of this id by that of another address. False when that has none. */
export async function replaceRegion(id, href, signal) {
  const page = await fetchPage(href, signal);
  const fresh = page?.getElementById(id);
  const old = document.getElementById(id);
  if (!fresh || !old) return false;
  const selected = new Set([...old.querySelectorAll("[data-select]:checked")].map((box) => box.value));
  const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const unfolded = [...old.querySelectorAll("details")].map((details) => details.open);
  old.replaceWith(fresh);
  for (const [index, details] of fresh.querySelectorAll("details").entries()) {
    details.open ||= unfolded[index] ?? false;
  }
  for (const box of fresh.querySelectorAll("[data-select]")) box.checked = selected.has(box.value);
  localize(fresh);
  if (focused !== null) refocus(fresh, focused);
  fresh.dispatchEvent(new CustomEvent("region", { bubbles: true }));
  return true;
}

// Whoever ordered a table by its heading stays there, although the heading's address is another now.
function refocus(region, href) {
  const path = (text) => new URLSearchParams(text.split("?")[1]).get("sort")?.replace("-", "");
  const links = [...region.querySelectorAll("a[href]")];
  const same = links.find((link) => link.getAttribute("href") === href);
  const alike = links.find((link) => link.closest("th") && path(link.getAttribute("href")) === path(href));
  (same ?? alike ?? region.querySelector("[tabindex]"))?.focus();
}

const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const FORMAT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

/** Shows times in the zone and the manner of this browser. */
export function localize(root) {
  for (const element of root.querySelectorAll("time[data-local]")) {
    const at = new Date(element.dateTime);
    element.textContent = (element.dataset.local === "day" ? DAY : FORMAT).format(at);
    element.title = EXACT.format(at);
  }
}

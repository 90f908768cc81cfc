// Menus are popovers, which open, close and give the focus back by themselves. Here they get the
// arrow keys, and a place beside their button in browsers that cannot anchor them.

const ITEMS = "a[href], button:not([disabled])";
const ANCHORED = CSS.supports("position-area: block-end");

document.addEventListener(
  "toggle",
  (event) => {
    const menu = event.target;
    if (!menu.matches?.(".menu[popover]") || event.newState !== "open") return;
    if (!ANCHORED) place(menu, document.querySelector(`[popovertarget="${menu.id}"]`));
    menu.querySelector(ITEMS)?.focus();
  },
  true,
);

document.addEventListener("keydown", (event) => {
  const menu = event.target.closest?.(".menu:popover-open");
  if (!menu || !["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) return;
  event.preventDefault();
  const items = [...menu.querySelectorAll(ITEMS)];
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1 + items.length, Home: 0, End: items.length - 1 };
  items[to[event.key] % items.length].focus();
});

function place(menu, button) {
  const around = button.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const below = around.bottom + height + 8 < innerHeight;
  const top = below ? around.bottom + 4 : around.top - height - 4;
  menu.style.top = `${Math.max(8, top)}px`;
  menu.style.left = `${Math.max(8, Math.min(around.right - width, innerWidth - width - 8))}px`;
  menu.style.margin = "0";
}

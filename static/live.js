// Parts of a page that change while one looks at them: `data-live` names a stream that tells the
// version of such a part, and when it is not the one that is shown, the part is fetched again.

import { replaceRegion } from "./regions.js";

const streams = new Map();

function listen() {
  // A hidden page needs nothing; and a browser has six connections to a server at most.
  const wanted = document.hidden ? [] : [...document.querySelectorAll("[data-live]")];
  for (const [id, stream] of streams) {
    if (!wanted.some((region) => region.id === id)) {
      stream.close();
      streams.delete(id);
    }
  }
  for (const region of wanted) {
    if (streams.has(region.id)) continue;
    const stream = new EventSource(region.dataset.live);
    stream.onmessage = (event) => refresh(region.id, event.data);
    streams.set(region.id, stream);
  }
}

async function refresh(id, version) {
  const region = document.getElementById(id);
  if (!region || region.dataset.version === version) return;
  // Nobody likes a menu that vanishes under the pointer.
  if (region.querySelector(":popover-open") || document.querySelector("dialog:modal")) {
    setTimeout(() => refresh(id, version), 1000);
    return;
  }
  await replaceRegion(id, location.href).catch(() => false);
}

document.addEventListener("visibilitychange", listen);
addEventListener("pagehide", () => {
  for (const stream of streams.values()) stream.close();
  streams.clear();
});
addEventListener("pageshow", listen);
listen();

// Parts of a page that change while one looks at them: `data-live` names a stream that tells the
// version of such a part, and when it is not the one that is shown, the part is fetched again.

import { replaceRegion } from "./regions.js";

const streams = new Map();

function listen() {
  // A hidden page needs nothing; and a browser has six connections to a server at most, so parts
  // that change together share one.
  const regions = document.hidden ? [] : [...document.querySelectorAll("[data-live]")];
  const wanted = new Set(regions.map((region) => region.dataset.live));
  for (const [address, stream] of streams) {
    if (!wanted.has(address)) {
      stream.close();
      streams.delete(address);
    }
  }
  for (const address of wanted) {
    if (streams.has(address)) continue;
    const stream = new EventSource(address);
    stream.onmessage = (event) => {
      for (const region of document.querySelectorAll("[data-live]")) {
        if (region.dataset.live === address) refresh(region.id, event.data);
      }
    };
    streams.set(address, stream);
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

/**
 * The W3C's Presentation API (https://www.w3.org/TR/presentation-api/) for pages in any browser, by way of greenroom-web.
 *
 * <script src="http://127.0.0.1:8010/presentation.js"></script>, or a copy of it:
 * <script src="presentation.js" data-bridge="http://127.0.0.1:8010" data-token="..."></script>
 *
 * What two pages say to each other goes from browser to browser over a data channel; the bridge only introduces them.
 */

// What the page is told from outside: where the bridge is, and whether it was launched.
const script = document.currentScript;
const launch = takeLaunch();
const bridgeAddress = addressOfBridge();

/** What the launcher has put behind the page's address. It is taken out, so that nothing else of the page finds it. */
function takeLaunch() {
  const found = /(^#|&)greenroom-launch=([0-9a-f]{32}):(\d{1,5})$/.exec(location.hash);
  if (!found || window.top !== window) return null;
  const rest = location.hash.slice(0, found.index);
  history.replaceState(history.state, "", location.pathname + location.search + rest);
  return { token: found[2], port: Number(found[3]) };
}

function addressOfBridge() {
  if (launch) return `ws://127.0.0.1:${launch.port}/bridge`;
  const given = script?.dataset.bridge ?? script?.src ?? location.href;
  const url = new URL("/bridge", new URL(given, location.href));
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

/** How the box is, live. */
"use strict";

const LOOK_INTERVAL_MS = 1000;

greenroom.addEventListener("box", ({ detail }) => (detail.error ? showProblem(detail.error) : showBox(detail)));

function showBox({ apps, decoders, decodersFree, spares, refusals }) {
  find("problem").hidden = true;
  const figures = [
    [`${decoders - decodersFree} / ${decoders}`, "decoders in use"],
    [apps.length, "apps"],
    [apps.filter(({ state }) => state === "active").length, "active"],
    [spares, "spare servers"],
    [refusals, "refused requests"],
  ];
  find("figures").replaceChildren(...figures.map(([value, what]) => element("div", { className: "faint" }, element("b", { textContent: value }), what)));
  find("no-apps").hidden = apps.length > 0;
  find("apps").replaceChildren(...apps.map(row));
}

function row({ app, state, decoders, sessionsMax, clients, uptime, restarts, refusals, process, restarting }) {
  const shown = restarting ? "restarting" : (state ?? "starting");
  const cell = (content, head = "", className = "") => {
    const made = element("td", { className }, content);
    if (head) made.dataset.head = head;
    return made;
  };
  return element(
    "tr",
    {},
    cell(app),
    cell(element("span", { className: `state ${shown}`, textContent: shown })),
    cell(`${decoders} / ${sessionsMax}`, "decoders"),
    cell(clients, "clients"),
    cell(duration(uptime), "up"),
    cell(restarts, "restarts", "seldom"),
    cell(refusals, "refused", "seldom"),
    cell(process || "–", "process", "seldom"),
  );
}

function duration(seconds) {
  const parts = [
    [Math.floor(seconds / 86400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([number]) => number > 0);
  return parts.slice(first < 0 ? 3 : first).slice(0, 2).map(([number, unit]) => `${number} ${unit}`).join(" ");
}

async function look() {
  const { presentations } = await greenroom.ask("presentations");
  find("nothing").hidden = presentations.length > 0;
  find("presentations").replaceChildren(
    ...presentations.map(({ url, device, state, shownHere }) =>
      element(
        "li",
        {},
        element(
          "div",
          {},
          element("div", { className: "name", title: url, textContent: friendly(url) }),
          element("div", { className: "faint", textContent: shownHere ? `here, for ${device}` : `on ${device}` }),
        ),
        element("span", { className: `state ${state}`, textContent: state }),
      ),
    ),
  );
}

whileConnected(async () => {
  await greenroom.ask("watchBox");
  await look();
});
setInterval(() => {
  if (document.visibilityState === "visible" && find("problem").hidden) look().catch(() => {});
}, LOOK_INTERVAL_MS);

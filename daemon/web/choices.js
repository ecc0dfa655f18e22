/** Pages that ask for a device, and the devices that a person can give them. */
"use strict";

const waiting = new Map();
let devices = [];

greenroom.addEventListener("choice", ({ detail }) => {
  waiting.set(detail.choice, detail);
  showChoices();
});
greenroom.addEventListener("choiceOver", ({ detail }) => {
  waiting.delete(detail.choice);
  showChoices();
});
greenroom.addEventListener("lost", () => {
  waiting.clear();
  showChoices();
});

/** Asks which devices there are. */
async function lookForDevices() {
  ({ devices } = await greenroom.ask("devices"));
  showChoices();
}

function showChoices() {
  find("asked").hidden = waiting.size === 0;
  find("choices").replaceChildren(...[...waiting.values()].map(choiceItem));
}

function choiceItem({ choice, origin, urls }) {
  const answer = (device) => greenroom.ask("choose", { choice, device }).catch(({ message }) => showProblem(message));
  const buttons = devices.map(({ device, name }) =>
    element("button", { type: "button", textContent: name, onclick: () => answer(device) }),
  );
  const refuse = element("button", { type: "button", className: "plain", textContent: "No", onclick: () => answer(null) });
  const what = element(
    "div",
    {},
    element("div", { className: "name", textContent: friendly(origin) }),
    element("div", { className: "faint", textContent: `wants to show ${urls.map(friendly).join(" or ")}` }),
    element("div", { className: "devices" }, ...buttons, refuse),
  );
  return element("li", {}, what);
}

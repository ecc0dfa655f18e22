/** The page with which a person shows pages on devices, talks to them, and ends them. */
"use strict";

const LOOK_INTERVAL_MS = 2000;
const URL_KEY = "greenroom-url";

/** The connection that is talked on. */
let current = null;

find("url").value = localStorage.getItem(URL_KEY) ?? "";

async function look() {
  await lookForDevices();
  showDevices();
  const { presentations } = await greenroom.ask("presentations");
  showPresentations(presentations);
}

function showDevices() {
  const shown = [...find("devices").querySelectorAll("input")].map(({ value }) => value);
  if (shown.join("\n") === devices.map(({ device }) => device).join("\n") && shown.length > 0) return;
  const chosen = find("devices").querySelector(":checked")?.value ?? devices[0]?.device;
  const options = devices.map(({ device, name }) => {
    const input = element("input", { type: "radio", name: "device", value: device, checked: device === chosen });
    return element("label", {}, input, element("span", { className: "name", textContent: name }));
  });
  const none = element("span", { className: "faint", textContent: "No screen is seen on this network yet." });
  find("devices").replaceChildren(...(options.length > 0 ? options : [none]));
  find("begin").disabled = options.length === 0;
}

function showPresentations(presentations) {
  find("nothing").hidden = presentations.length > 0;
  find("presentations").replaceChildren(...presentations.map(presentationItem));
}

function presentationItem({ presentation, url, device, state, shownHere }) {
  const join = element("button", { type: "button", className: "plain", textContent: "Talk", onclick: () => talkAgain(presentation, url) });
  join.hidden = shownHere || presentation === current?.id;
  const end = element("button", { type: "button", className: "plain bad", textContent: "End", onclick: () => endOne(presentation) });
  return element(
    "li",
    {},
    element(
      "div",
      {},
      element("div", { className: "name", title: url, textContent: friendly(url) }),
      element("div", { className: "faint", textContent: shownHere ? `here, for ${device}` : `on ${device}` }),
    ),
    element("span", { className: `state ${state}`, textContent: state }),
    join,
    end,
  );
}

async function endOne(presentation) {
  await greenroom.ask("end", { presentation }).catch(({ message }) => showProblem(message));
  await look().catch(() => {});
}

async function talkAgain(presentation, url) {
  try {
    talk(await new PresentationRequest(url).reconnect(presentation));
  } catch ({ message }) {
    showProblem(message);
  }
}

/** Shows what is said on a connection. */
function talk(connection) {
  current = connection;
  find("talk").hidden = false;
  find("talk-title").textContent = friendly(connection.url);
  find("messages").replaceChildren();
  connection.onconnect = showState;
  connection.onclose = ({ reason, message }) => {
    showState();
    note(message || { closed: "It was closed.", wentaway: "The page has gone.", error: "It failed." }[reason]);
  };
  connection.onterminate = () => {
    showState();
    note("It has ended.");
  };
  connection.onmessage = ({ data }) => {
    add("", typeof data === "string" ? data : `${data.byteLength} bytes`);
  };
  showState();
}

function showState() {
  const { state } = current;
  find("talk-state").textContent = state;
  find("talk-state").className = `state ${state}`;
  find("send").disabled = find("end").disabled = state !== "connected";
  find("leave").disabled = state !== "connected" && state !== "connecting";
}

function add(kind, text) {
  const messages = find("messages");
  messages.append(element("p", { className: kind, textContent: text }));
  messages.scrollTop = messages.scrollHeight;
}

const note = (text) => add("note", text);

find("start").onsubmit = async (event) => {
  event.preventDefault();
  const url = find("url").value;
  const device = find("devices").querySelector(":checked")?.value;
  find("begin").disabled = true;
  find("start-error").textContent = "";
  try {
    talk(await new PresentationRequest(url).start({ device }));
    localStorage.setItem(URL_KEY, url);
  } catch ({ message }) {
    find("start-error").textContent = message;
  } finally {
    find("begin").disabled = false;
  }
  await look().catch(() => {});
};

find("say").onsubmit = (event) => {
  event.preventDefault();
  const text = find("text").value;
  if (!text || current?.state !== "connected") return;
  current.send(text);
  add("own", text);
  find("text").value = "";
};
find("leave").onclick = () => current.close();
find("end").onclick = () => current.terminate();

whileConnected(async () => {
  await look();
  await greenroom.ask("watchChoices");
});
setInterval(() => {
  if (document.visibilityState === "visible" && find("problem").hidden) look().catch(() => {});
}, LOOK_INTERVAL_MS);

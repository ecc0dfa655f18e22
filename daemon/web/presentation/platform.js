/** What the browser is given: `navigator.presentation`, and the interfaces. */

class Presentation {
  #request = null;
  #receiver;

  constructor(key, receiver) {
    if (key !== KEY) throw new TypeError("Illegal constructor");
    this.#receiver = receiver;
  }
  get defaultRequest() {
    return this.#request;
  }
  set defaultRequest(request) {
    if (request !== null && !(request instanceof PresentationRequest)) throw new TypeError("it is no PresentationRequest");
    this.#request = request;
  }
  /** `null` on a page that was not launched for a presentation. */
  get receiver() {
    return this.#receiver;
  }
}

/** For the bridge's own pages: what they ask besides, and the events that nobody else is told. */
const greenroom = Object.assign(new EventTarget(), {
  setToken(token) {
    bridge.token = token;
  },
  ask: (order, values) => bridge.ask(order, values),
});

bridge.onevent = (event, values) => {
  const { connection: name, state, reason, message, text, offers, available } = values;
  switch (event) {
    case "build":
      return linkOf(name).build(offers);
    case "offer":
    case "answer":
    case "candidate":
      return links.get(name)?.transport?.take(event, text);
    case "unwanted":
      return links.get(name)?.unwanted();
    case "state":
      return linkOf(name).changed(state, reason, message);
    case "message":
      return linkOf(name).message(text);
    case "available":
      return receiver?.available(name);
    case "availability":
      return availabilityChanged(available);
    default:
      greenroom.dispatchEvent(new CustomEvent(event, { detail: values }));
  }
};
bridge.onbytes = (name, bytes) => linkOf(name).message(bytes);
/** What the service had for this page went with the connection. */
bridge.onlost = (why) => {
  for (const link of [...links.values()]) {
    link.transport?.abandon();
    link.transport = null;
    link.changed("closed", "error", why);
  }
  availabilityChanged(false);
  watched = [];
  greenroom.dispatchEvent(new CustomEvent("lost", { detail: why }));
};

/** The other page is told that this one goes; by itself it would find out late. */
addEventListener("pagehide", () => links.forEach(({ transport }) => transport?.abandon()));

const shown = launch && new PresentationReceiver(KEY);
const receiver = shown && inside(shown);
const presentation = new Presentation(KEY, shown);

Object.defineProperty(navigator, "presentation", { configurable: true, enumerable: true, value: presentation });
const interfaces = {
  Presentation,
  PresentationAvailability,
  PresentationConnection,
  PresentationConnectionAvailableEvent,
  PresentationConnectionCloseEvent,
  PresentationConnectionList,
  PresentationReceiver,
  PresentationRequest,
  greenroom,
};
for (const [name, value] of Object.entries(interfaces)) {
  Object.defineProperty(window, name, { configurable: true, writable: true, value });
}

/** Connections: what the service says of them, and the objects of the page. */

/** A terminated connection's channel waits so long for the other device's word: its end alone would look like a loss. */
const TERMINATE_TIMEOUT_MS = 5_000;

/** What the service knows by one name: its state, what carries its data, and the page's object once there is one. */
class Link {
  state = "connecting";
  transport = null;
  connection = null;
  /** What the page's object has not heard yet: states, and messages for when it is connected and the page knows. */
  #states = [];
  #messages = [];
  #isHeard = false;
  #isOpen = false;
  #why = null;

  constructor(name) {
    this.name = name;
  }

  build(offers) {
    this.transport?.abandon();
    this.transport = new Channel(this.name, offers, {
      open: () => bridge.tell("open", { connection: this.name }),
      message: (data) => this.message(data),
      closed: (reason, message) => this.#lost(reason, message),
    });
  }

  /** The service decides what becomes of it, and says so. */
  #lost(reason, message) {
    this.transport = null;
    if (this.state === "connected") {
      bridge.tell("close", { connection: this.name, wentAway: reason === "wentaway" });
    } else if (this.state === "connecting") {
      this.#why = message;
      bridge.tell("failed", { connection: this.name });
    }
  }

  /** The other device takes no data channel; the service says next how it goes on. */
  unwanted() {
    if (!this.transport?.isOpen) this.finish();
  }

  changed(state, reason, message) {
    this.state = state;
    if (state === "connected") this.transport ??= new Relay(this.name);
    if (state === "closed") this.#drop((transport) => transport.close());
    if (state === "terminated") setTimeout(() => this.finish(), TERMINATE_TIMEOUT_MS);
    if (state === "terminated" || state === "closed") links.delete(this.name);
    this.#states.push({ state, reason, message: this.#why ?? message });
    if (this.#isHeard) this.#hear();
  }

  /** Nothing more is to come. */
  finish() {
    this.#drop((transport) => transport.abandon());
  }

  #drop(how) {
    const { transport } = this;
    this.transport = null;
    if (transport) how(transport);
  }

  message(data) {
    this.#messages.push(data);
    if (this.#isOpen) this.#hearMessages();
  }

  /** From now on there is an object of the page for it, which hears when the page has had its turn. */
  attach(connection) {
    this.connection = connection;
    inside(connection).link = this;
    soon(() => {
      this.#isHeard = true;
      this.#hear();
    });
  }

  #hear() {
    for (const { state, reason, message } of this.#states.splice(0)) {
      // What came before the end is heard before it.
      if (state !== "connecting" && state !== "connected") this.#hearMessages();
      inside(this.connection).changed(state, reason, message);
      if (state === "connected") soon(() => this.#open());
    }
  }

  #open() {
    this.#isOpen = true;
    this.#hearMessages();
  }

  #hearMessages() {
    for (const data of this.#messages.splice(0)) inside(this.connection).message(data);
  }
}

const links = new Map();

function linkOf(name) {
  if (!links.has(name)) links.set(name, new Link(name));
  return links.get(name);
}

/** What the page does not see of an object. */
const insides = new WeakMap();
const inside = (object) => insides.get(object);
/** Only this script makes connections. */
const KEY = Symbol("greenroom");

class PresentationConnection extends EventTarget {
  constructor(key, id, url) {
    if (key !== KEY) throw new TypeError("Illegal constructor");
    super();
    insides.set(this, new ConnectionInside(this, id, url));
  }
  get id() {
    return inside(this).id;
  }
  get url() {
    return inside(this).url;
  }
  get state() {
    return inside(this).state;
  }
  get binaryType() {
    return inside(this).binaryType;
  }
  set binaryType(value) {
    // As of every enumeration: what is no value of it changes nothing.
    if (value === "blob" || value === "arraybuffer") inside(this).binaryType = value;
  }
  /** Bytes that were sent and have not left yet. Not of the W3C's. */
  get bufferedAmount() {
    return inside(this).link.transport?.bufferedAmount ?? 0;
  }
  close() {
    inside(this).close();
  }
  terminate() {
    inside(this).terminate();
  }
  send(data) {
    if (arguments.length === 0) throw new TypeError("1 argument required, but only 0 present");
    inside(this).send(data);
  }
}
for (const name of ["connect", "close", "terminate", "message"]) handler(PresentationConnection, name);

class ConnectionInside {
  state = "connecting";
  binaryType = "arraybuffer";
  link = null;
  /** A Blob is read before it is sent, and what is sent after it waits. */
  #sending = null;

  constructor(connection, id, url) {
    this.connection = connection;
    this.id = id;
    this.url = url;
    this.origin = new URL(url).origin;
  }

  changed(state, reason, message) {
    if (state === this.state || this.state === "terminated") return;
    const wasClosed = this.state === "closed";
    if (wasClosed && state === "connected") return;
    this.state = state;
    // Who hears of it finds a list without it.
    if (state === "closed" || state === "terminated") receiver?.remove(this.connection);
    if (state === "connected") this.connection.dispatchEvent(new Event("connect"));
    if (state === "terminated") this.connection.dispatchEvent(new Event("terminate"));
    if (state === "closed") {
      const init = { reason: reason ?? "closed", message: reason === "error" ? message : "" };
      this.connection.dispatchEvent(new PresentationConnectionCloseEvent("close", init));
    }
  }

  message(data) {
    if (this.state !== "connected") return;
    const value = typeof data !== "string" && this.binaryType === "blob" ? new Blob([data]) : data;
    this.connection.dispatchEvent(new MessageEvent("message", { data: value, origin: this.origin }));
  }

  close() {
    if (this.state !== "connecting" && this.state !== "connected") return;
    this.state = "closed";
    if (this.#sending) this.#sending.then(() => this.#leave());
    else this.#leave();
  }

  #leave() {
    const { link } = this;
    bridge.tell("close", { connection: link.name });
    link.transport?.close();
    link.transport = null;
    link.state = "closed";
    receiver?.remove(this.connection);
    soon(() => this.connection.dispatchEvent(new PresentationConnectionCloseEvent("close", { reason: "closed" })));
  }

  terminate() {
    if (this.state !== "connected") return;
    const { link } = this;
    bridge.ask("terminate", { connection: link.name }).catch(() => {}).then(() => link.finish());
  }

  send(data) {
    if (this.state !== "connected") {
      throw new DOMException(`the connection is ${this.state}`, "InvalidStateError");
    }
    const bytes = bytesOf(data);
    if (bytes instanceof Blob) {
      const before = this.#sending ?? Promise.resolve();
      this.#after(before.then(() => bytes.arrayBuffer()).then((read) => this.#transmit(read)));
    } else if (this.#sending) {
      this.#after(this.#sending.then(() => this.#transmit(bytes)));
    } else {
      this.#transmit(bytes);
    }
  }

  #after(sent) {
    const kept = sent.catch(() => {}).finally(() => {
      if (this.#sending === kept) this.#sending = null;
    });
    this.#sending = kept;
  }

  /** A message that cannot be sent is the end of the connection, as nobody could tell that it is missing. */
  #transmit(data) {
    try {
      this.link.transport?.send(data);
    } catch (error) {
      const text = typeof data === "string" ? `: "${data.slice(0, 256)}"` : "";
      const { link } = this;
      link.transport?.abandon();
      link.transport = null;
      bridge.tell("close", { connection: link.name, wentAway: true });
      this.changed("closed", "error", `Unable to send message${text}: ${error.message}`);
    }
  }
}

/** Copied, so that nothing changes what is on its way. */
function bytesOf(data) {
  if (data instanceof Blob) return data;
  if (data instanceof ArrayBuffer) return data.slice(0);
  if (ArrayBuffer.isView(data)) return data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
  return String(data);
}

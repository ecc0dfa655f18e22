/**
 * The W3C's Presentation API (https://www.w3.org/TR/presentation-api/) for pages in any browser, by way of greenroom-web.
 *
 * <script src="http://127.0.0.1:8010/presentation.js"></script>, or a copy of it:
 * <script src="presentation.js" data-bridge="http://127.0.0.1:8010" data-token="..."></script>
 *
 * What two pages say to each other goes from browser to browser over a data channel; the bridge only introduces them.
 */
(() => {
  "use strict";

  const script = document.currentScript;
  /** Of the data channel, as Mozilla's programs have it. */
  const LABEL = "presentationAPI";
  /** Without servers to ask, a browser has its addresses within this. */
  const GATHER_TIMEOUT_MS = 200;
  /** Who closes waits so long for what is still on its way. */
  const CLOSE_TIMEOUT_MS = 10_000;
  /** A terminated connection's channel waits so long for the other device's word: its end alone would look like a loss. */
  const TERMINATE_TIMEOUT_MS = 5_000;
  /** How long a person may take to open the page on which devices are chosen. */
  const CHOOSER_TIMEOUT_MS = 60_000;
  const CHOOSER_PAUSE_MS = 300;
  /** What the service's devices can show. */
  const SCHEMES = new Set(["http:", "https:", "app:"]);

  /** Calls back in a turn of its own, at once also where nobody looks: browsers slow down the timers of such pages. */
  const turns = new MessageChannel();
  const waitingTurns = [];
  turns.port1.onmessage = () => waitingTurns.shift()();

  function soon(callback) {
    waitingTurns.push(callback);
    turns.port2.postMessage(null);
  }

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

  // ---------------------------------------------------------------------------------------------------------- the bridge

  /** A connection to the bridge: numbered questions, and events. It is made when it is needed, and made again when lost. */
  class Bridge {
    #socket = null;
    #ready = null;
    #sequence = 0;
    #waiting = new Map();
    /** Called with each event, with each message of bytes, and when all that the bridge knew of this page is lost. */
    onevent = () => {};
    onbytes = () => {};
    onlost = () => {};
    token = "";
    /** Milliseconds after which the service gives up a connection that is not made. */
    establishTimeout = 0;

    /** Asks; the answer, or an exception with the W3C's name. */
    async ask(order, values = {}) {
      await this.open();
      return this.#ask(order, values);
    }

    #ask(order, values) {
      const id = ++this.#sequence;
      return new Promise((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        this.#socket.send(JSON.stringify({ id, do: order, ...values }));
      });
    }

    /** Says something of which no answer is awaited. */
    tell(order, values) {
      if (this.#socket?.readyState === WebSocket.OPEN) this.#ask(order, values).catch(() => {});
    }

    sendBytes(name, bytes) {
      const frame = new Uint8Array(4 + bytes.byteLength);
      const [index, generation] = name.split(".").map(Number);
      new DataView(frame.buffer).setUint16(0, index, true);
      new DataView(frame.buffer).setUint16(2, generation, true);
      frame.set(bytes, 4);
      this.#socket.send(frame);
    }

    get bufferedAmount() {
      return this.#socket?.bufferedAmount ?? 0;
    }

    /** Connects and says who this page is. */
    open() {
      this.#ready ??= this.#connect();
      return this.#ready;
    }

    async #connect() {
      const socket = new WebSocket(bridgeAddress);
      socket.binaryType = "arraybuffer";
      this.#socket = socket;
      socket.onmessage = ({ data }) => this.#take(data);
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onclose = () => {
          this.#lose("the bridge cannot be reached, or lets this page not in");
          reject(new DOMException("the bridge cannot be reached", "NotFoundError"));
        };
      });
      socket.onclose = ({ reason }) => this.#lose(reason || "the bridge has gone");
      const welcome = await this.#ask("hello", { token: this.token, ...(launch && { launch: launch.token }) });
      this.establishTimeout = welcome.establishTimeout;
      return welcome;
    }

    #lose(why) {
      this.#socket = null;
      this.#ready = null;
      const waiting = [...this.#waiting.values()];
      this.#waiting.clear();
      for (const { reject } of waiting) reject(new DOMException(why, "OperationError"));
      this.onlost(why);
    }

    #take(data) {
      if (typeof data !== "string") {
        const head = new DataView(data);
        return this.onbytes(`${head.getUint16(0, true)}.${head.getUint16(2, true)}`, data.slice(4));
      }
      const { id, ok, error, event, ...values } = JSON.parse(data);
      if (event) return this.onevent(event, values);
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) waiting?.reject(Object.assign(new DOMException(error.message, error.name), { refusal: error.refusal }));
      else waiting?.resolve(ok);
    }
  }

  const bridge = new Bridge();
  bridge.token = script?.dataset.token ?? "";

  // ------------------------------------------------------------------------------------------------------ the data channel

  /** Builds one data channel. Descriptions and candidates travel as Mozilla's programs write them. */
  class Channel {
    #peer = new RTCPeerConnection({ iceServers: [] });
    #channel = null;
    #early = [];
    #isDescribed = false;
    #timer;

    /** `name` is the connection's; `told` hears open, closed (whether in order) and message. */
    constructor(name, offers, told) {
      this.name = name;
      this.told = told;
      this.#timer = setTimeout(() => this.#fail("the other page was not reached in time"), bridge.establishTimeout);
      this.#peer.onicecandidate = ({ candidate }) => {
        // Until then they are part of the description.
        if (!candidate?.candidate || !this.#isDescribed) return;
        bridge.tell("candidate", { connection: name, text: JSON.stringify(candidate) });
      };
      this.#peer.onconnectionstatechange = () => {
        if (this.#peer.connectionState === "failed") this.#fail("the other page cannot be reached any more");
      };
      if (offers) {
        this.#use(this.#peer.createDataChannel(LABEL));
        this.#try(() => this.#describe("offer"));
      } else {
        this.#peer.ondatachannel = ({ channel }) => this.#use(channel);
      }
    }

    /** What the other page's builder has said. */
    take(kind, text) {
      this.#try(async () => {
        const value = JSON.parse(text);
        if (kind === "candidate") {
          if (!this.#peer.remoteDescription) return void this.#early.push(value);
          return this.#peer.addIceCandidate(value);
        }
        if (value.type !== kind) throw new Error(`it is no ${kind}`);
        await this.#peer.setRemoteDescription(value);
        for (const candidate of this.#early.splice(0)) await this.#peer.addIceCandidate(candidate);
        if (kind === "offer") await this.#describe("answer");
      });
    }

    /** With the candidates that are found at once: who loads its page still may miss those that come one by one. */
    async #describe(kind) {
      await this.#peer.setLocalDescription();
      await this.#gathered();
      this.#isDescribed = true;
      const { type, sdp } = this.#peer.localDescription;
      bridge.tell(kind, { connection: this.name, text: JSON.stringify({ type, sdp }) });
    }

    #gathered() {
      return new Promise((resolve) => {
        const look = () => this.#peer.iceGatheringState === "complete" && resolve();
        this.#peer.addEventListener("icegatheringstatechange", look);
        setTimeout(resolve, GATHER_TIMEOUT_MS);
        look();
      });
    }

    #try(work) {
      work().catch((error) => this.#fail(error.message));
    }

    #use(channel) {
      this.#channel = channel;
      channel.binaryType = "arraybuffer";
      let isBroken = false;
      const opened = () => {
        clearTimeout(this.#timer);
        this.told.open();
      };
      channel.onopen = opened;
      channel.onerror = () => (isBroken = true);
      channel.onclose = () => this.#end(isBroken ? "wentaway" : "closed", "");
      channel.onmessage = ({ data }) => this.told.message(data);
      if (channel.readyState === "open") opened();
    }

    #fail(message) {
      this.#end(this.isOpen ? "wentaway" : "error", message);
    }

    #end(reason, message) {
      const { told } = this;
      this.abandon();
      told.closed(reason, message);
    }

    get isOpen() {
      return this.#channel?.readyState === "open";
    }

    get bufferedAmount() {
      return this.#channel?.bufferedAmount ?? 0;
    }

    send(data) {
      this.#channel.send(data);
    }

    /** Lets what was sent arrive, and the other page see that it ends in order. */
    close() {
      this.#quiet();
      if (!this.isOpen) return this.abandon();
      this.#channel.onclose = () => this.abandon();
      this.#channel.close();
      setTimeout(() => this.abandon(), CLOSE_TIMEOUT_MS);
    }

    /** As if this page had gone. */
    abandon() {
      this.#quiet();
      if (this.#channel) this.#channel.onclose = null;
      this.#peer.close();
    }

    #quiet() {
      clearTimeout(this.#timer);
      this.told = { open() {}, closed() {}, message() {} };
      this.#peer.onconnectionstatechange = null;
    }
  }

  /** Through the services, for a receiver that knows no data channels. */
  class Relay {
    constructor(name) {
      this.name = name;
    }

    get bufferedAmount() {
      return bridge.bufferedAmount;
    }

    send(data) {
      if (typeof data === "string") bridge.tell("send", { connection: this.name, text: data });
      else bridge.sendBytes(this.name, new Uint8Array(data));
    }

    close() {}
    abandon() {}
  }

  // ------------------------------------------------------------------------------------------------------------ the events

  /** `target.on${name}`, as every event target has it. */
  function handler(target, name) {
    Object.defineProperty(target.prototype, `on${name}`, {
      configurable: true,
      enumerable: true,
      get() {
        return handlersOf(this).get(name) ?? null;
      },
      set(value) {
        const handlers = handlersOf(this);
        if (!handlers.has(name)) this.addEventListener(name, (event) => handlers.get(name)?.call(this, event));
        handlers.set(name, typeof value === "function" ? value : null);
      },
    });
  }

  const allHandlers = new WeakMap();

  function handlersOf(target) {
    if (!allHandlers.has(target)) allHandlers.set(target, new Map());
    return allHandlers.get(target);
  }

  class PresentationConnectionAvailableEvent extends Event {
    #connection;
    constructor(type, init) {
      if (!(init?.connection instanceof PresentationConnection)) throw new TypeError("a connection is required");
      super(type, init);
      this.#connection = init.connection;
    }
    get connection() {
      return this.#connection;
    }
  }

  class PresentationConnectionCloseEvent extends Event {
    #reason;
    #message;
    constructor(type, init) {
      if (!["error", "closed", "wentaway"].includes(init?.reason)) throw new TypeError("a reason is required");
      super(type, init);
      this.#reason = init.reason;
      this.#message = init.message ?? "";
    }
    get reason() {
      return this.#reason;
    }
    get message() {
      return this.#message;
    }
  }

  // ------------------------------------------------------------------------------------------------------- the connections

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
      const init = { data: value, origin: new URL(this.url).origin };
      this.connection.dispatchEvent(new MessageEvent("message", init));
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

  // ---------------------------------------------------------------------------------------------------------- the requests

  /** All of this page, so that a presentation has one object. */
  const known = new Set();
  const availabilities = new Set();
  let isStarting = false;

  class PresentationRequest extends EventTarget {
    #urls;

    constructor(urls) {
      if (arguments.length === 0) throw new TypeError("1 argument required, but only 0 present");
      super();
      const given = typeof urls !== "string" && urls?.[Symbol.iterator] ? [...urls].map(String) : [String(urls)];
      if (given.length === 0) throw new DOMException("there is no URL", "NotSupportedError");
      this.#urls = given.map(parsed).filter(({ protocol }) => SCHEMES.has(protocol)).map(({ href }) => href);
      if (this.#urls.length === 0) throw new DOMException("no device shows such URLs", "NotSupportedError");
      if (isSecureContext && location.protocol === "https:" && this.#urls.some((url) => url.startsWith("http:") && !isLoopback(url))) {
        throw new DOMException("a page with https starts none without", "SecurityError");
      }
    }

    /** `device` and `transport` are not of the W3C's: the bridge's own pages name a device. */
    async start({ device = null, transport } = {}) {
      if (!device && navigator.userActivation && !navigator.userActivation.isActive) {
        throw new DOMException("a person has to ask for it", "InvalidAccessError");
      }
      if (isStarting) throw new DOMException("a device is being chosen already", "OperationError");
      isStarting = true;
      try {
        if (!device) openChooser();
        return this.#connected(await askToStart({ urls: this.#urls, device, ...(transport && { transport }) }));
      } finally {
        isStarting = false;
      }
    }

    async reconnect(id) {
      if (arguments.length === 0) throw new TypeError("1 argument required, but only 0 present");
      const presentation = String(id);
      const own = [...known].find((it) => it.id === presentation && this.#urls.includes(it.url) && it.state !== "terminated");
      if (own && own.state !== "closed") return own;
      const told = await bridge.ask("reconnect", { presentation, urls: this.#urls });
      return this.#connected(told, own);
    }

    #connected({ connection: name, presentation, url }, own) {
      const connection = own ?? new PresentationConnection(KEY, presentation, url);
      inside(connection).state = "connecting";
      known.add(connection);
      linkOf(name).attach(connection);
      if (!own) {
        queueMicrotask(() => this.dispatchEvent(new PresentationConnectionAvailableEvent("connectionavailable", { connection })));
      }
      return connection;
    }

    async getAvailability() {
      const availability = new PresentationAvailability(KEY);
      availabilities.add(availability);
      watched = [...new Set([...watched, ...this.#urls])];
      const { available } = await bridge.ask("watchAvailability", { urls: watched });
      insides.set(availability, available);
      return availability;
    }
  }
  handler(PresentationRequest, "connectionavailable");

  /** Where the bridge watches for one page, it watches for all its requests together. */
  let watched = [];

  function parsed(url) {
    try {
      return new URL(url, document.baseURI);
    } catch {
      throw new DOMException(`'${url}' is no URL`, "SyntaxError");
    }
  }

  function isLoopback(url) {
    return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(url).hostname);
  }

  /** The person chooses on a page of the bridge, so that this page learns of no device. */
  function openChooser() {
    if (script?.dataset.chooser === "none") return;
    const url = new URL("/choose", bridgeAddress.replace(/^ws/, "http"));
    window.open(url, "greenroom-choose", "popup,noopener,width=420,height=560");
  }

  /** Where nobody is there yet who could choose, the page for it may be loading. */
  async function askToStart(what) {
    const until = Date.now() + CHOOSER_TIMEOUT_MS;
    for (;;) {
      try {
        return await bridge.ask("start", what);
      } catch (error) {
        if (error.refusal !== "NobodyChooses" || Date.now() > until) throw error;
        await new Promise((resolve) => setTimeout(resolve, CHOOSER_PAUSE_MS));
      }
    }
  }

  class PresentationAvailability extends EventTarget {
    constructor(key) {
      if (key !== KEY) throw new TypeError("Illegal constructor");
      super();
      insides.set(this, false);
    }
    get value() {
      return inside(this);
    }
  }
  handler(PresentationAvailability, "change");

  function availabilityChanged(available) {
    for (const availability of availabilities) {
      if (inside(availability) === available) continue;
      insides.set(availability, available);
      availability.dispatchEvent(new Event("change"));
    }
  }

  // ---------------------------------------------------------------------------------------------------------- the receiver

  class PresentationConnectionList extends EventTarget {
    #connections = Object.freeze([]);

    constructor(key) {
      if (key !== KEY) throw new TypeError("Illegal constructor");
      super();
      insides.set(this, (connections) => (this.#connections = Object.freeze(connections)));
    }
    get connections() {
      return this.#connections;
    }
  }
  handler(PresentationConnectionList, "connectionavailable");

  class PresentationReceiver {
    #list = null;
    #resolve = null;
    #shows = null;
    #connections = null;

    constructor(key) {
      if (key !== KEY) throw new TypeError("Illegal constructor");
      // The page is there (PS-12).
      this.#shows = bridge.open();
      this.#shows.catch((error) => console.warn(`this page is no receiver: ${error.message}`));
      insides.set(this, { available: (name) => this.#available(name), remove: (connection) => this.#remove(connection) });
    }

    /** From the first time on, the connections of controllers are made. */
    get connectionList() {
      this.#list ??= this.#listen();
      return this.#list;
    }

    async #listen() {
      const list = new PresentationConnectionList(KEY);
      const first = new Promise((resolve) => (this.#resolve = resolve));
      this.#connections = list;
      await this.#shows;
      await bridge.ask("listen");
      await first;
      return list;
    }

    async #available(name) {
      const { presentation, url } = await this.#shows;
      const connection = new PresentationConnection(KEY, presentation, url);
      linkOf(name).attach(connection);
      connection.addEventListener("connect", () => this.#add(connection), { once: true });
    }

    #add(connection) {
      const isFirst = this.#resolve !== null;
      inside(this.#connections)([...this.#connections.connections, connection]);
      if (isFirst) {
        this.#resolve();
        this.#resolve = null;
      } else {
        this.#connections.dispatchEvent(new PresentationConnectionAvailableEvent("connectionavailable", { connection }));
      }
    }

    #remove(connection) {
      if (!this.#connections) return;
      inside(this.#connections)(this.#connections.connections.filter((other) => other !== connection));
    }
  }

  // ---------------------------------------------------------------------------------------------------------- the platform

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
})();

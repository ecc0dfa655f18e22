/** Events and their handlers, as every event target has them. */

/** Calls back in a turn of its own, at once also where nobody looks: browsers slow down the timers of such pages. */
const turns = new MessageChannel();
const waitingTurns = [];
turns.port1.onmessage = () => waitingTurns.shift()();

function soon(callback) {
  waitingTurns.push(callback);
  turns.port2.postMessage(null);
}

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

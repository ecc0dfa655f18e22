/** Asking for presentations, and whether they can be shown. */

/** How long a person may take to open the page on which devices are chosen. */
const CHOOSER_TIMEOUT_MS = 60_000;
const CHOOSER_PAUSE_MS = 300;
/** What the service's devices can show. */
const SCHEMES = new Set(["http:", "https:", "app:"]);

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

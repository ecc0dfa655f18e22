/** The receiving side: the connections of a page that was launched. */

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

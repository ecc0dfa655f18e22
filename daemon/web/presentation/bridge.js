/** The connection to the bridge. */

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

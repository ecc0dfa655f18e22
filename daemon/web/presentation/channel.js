/** What carries the data: a data channel between two browsers, or the services. */

/** Of the data channel, as Mozilla's programs have it. */
const LABEL = "presentationAPI";
/** Who closes waits so long for what is still on its way. */
const CLOSE_TIMEOUT_MS = 10_000;

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

  /** The candidates that are not part of it yet follow, one by one. */
  async #describe(kind) {
    await this.#peer.setLocalDescription();
    this.#isDescribed = true;
    const { type, sdp } = this.#peer.localDescription;
    bridge.tell(kind, { connection: this.name, text: JSON.stringify({ type, sdp }) });
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

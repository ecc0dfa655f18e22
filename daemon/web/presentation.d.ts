// Types of presentation.js: the W3C's Presentation API, and the few things that it does not have.

export {};

declare global {
  type PresentationConnectionState = "connecting" | "connected" | "closed" | "terminated";
  type PresentationConnectionCloseReason = "error" | "closed" | "wentaway";

  interface PresentationStartOptions {
    /** Only for pages that the bridge has served: the device, as the list of devices has it. */
    device?: string | null;
    /** How the data travels; "tcp" goes through the services, for a receiver that knows no data channels. */
    transport?: "data-channel" | "tcp";
  }

  interface PresentationRequestEventMap {
    connectionavailable: PresentationConnectionAvailableEvent;
  }

  class PresentationRequest extends EventTarget {
    constructor(url: string);
    constructor(urls: Iterable<string>);
    start(options?: PresentationStartOptions): Promise<PresentationConnection>;
    reconnect(presentationId: string): Promise<PresentationConnection>;
    getAvailability(): Promise<PresentationAvailability>;
    onconnectionavailable: ((this: PresentationRequest, event: PresentationConnectionAvailableEvent) => unknown) | null;
    addEventListener<K extends keyof PresentationRequestEventMap>(
      type: K,
      listener: (this: PresentationRequest, event: PresentationRequestEventMap[K]) => unknown,
      options?: boolean | AddEventListenerOptions,
    ): void;
    addEventListener(
      type: string,
      listener: EventListenerOrEventListenerObject,
      options?: boolean | AddEventListenerOptions,
    ): void;
  }

  class PresentationAvailability extends EventTarget {
    private constructor();
    readonly value: boolean;
    onchange: ((this: PresentationAvailability, event: Event) => unknown) | null;
  }

  class PresentationConnectionAvailableEvent extends Event {
    constructor(type: string, init: EventInit & { connection: PresentationConnection });
    readonly connection: PresentationConnection;
  }

  class PresentationConnectionCloseEvent extends Event {
    constructor(type: string, init: EventInit & { reason: PresentationConnectionCloseReason; message?: string });
    readonly reason: PresentationConnectionCloseReason;
    readonly message: string;
  }

  interface PresentationConnectionEventMap {
    connect: Event;
    close: PresentationConnectionCloseEvent;
    terminate: Event;
    message: MessageEvent;
  }

  class PresentationConnection extends EventTarget {
    private constructor();
    readonly id: string;
    readonly url: string;
    readonly state: PresentationConnectionState;
    binaryType: "blob" | "arraybuffer";
    /** Bytes that were sent and have not left yet. Not of the W3C's. */
    readonly bufferedAmount: number;
    send(data: string | Blob | ArrayBuffer | ArrayBufferView): void;
    close(): void;
    terminate(): void;
    onconnect: ((this: PresentationConnection, event: Event) => unknown) | null;
    onclose: ((this: PresentationConnection, event: PresentationConnectionCloseEvent) => unknown) | null;
    onterminate: ((this: PresentationConnection, event: Event) => unknown) | null;
    onmessage: ((this: PresentationConnection, event: MessageEvent) => unknown) | null;
    addEventListener<K extends keyof PresentationConnectionEventMap>(
      type: K,
      listener: (this: PresentationConnection, event: PresentationConnectionEventMap[K]) => unknown,
      options?: boolean | AddEventListenerOptions,
    ): void;
    addEventListener(
      type: string,
      listener: EventListenerOrEventListenerObject,
      options?: boolean | AddEventListenerOptions,
    ): void;
  }

  class PresentationConnectionList extends EventTarget {
    private constructor();
    readonly connections: ReadonlyArray<PresentationConnection>;
    onconnectionavailable:
      | ((this: PresentationConnectionList, event: PresentationConnectionAvailableEvent) => unknown)
      | null;
  }

  class PresentationReceiver {
    private constructor();
    readonly connectionList: Promise<PresentationConnectionList>;
  }

  class Presentation {
    private constructor();
    defaultRequest: PresentationRequest | null;
    /** `null` on a page that was not launched for a presentation. */
    readonly receiver: PresentationReceiver | null;
  }

  interface Navigator {
    readonly presentation: Presentation;
  }
}

async () => {
  const failures = [];

  async function behaviour(name, check) {
    try {
      await check();
    } catch (error) {
      failures.push(`${name}: ${error.message}`);
    }
  }

  function same(got, wanted, what = "value") {
    if (!Object.is(got, wanted)) throw new Error(`${what} is ${String(got)}, not ${String(wanted)}`);
  }

  function throws(name, run) {
    try {
      run();
    } catch (error) {
      return same(error.name, name, "the exception");
    }
    throw new Error(`it does not throw ${name}`);
  }

  async function rejects(name, promise) {
    const error = await promise.then(
      () => null,
      (reason) => reason,
    );
    same(error?.name, name, "the rejection");
  }

  const url = "https://tv.example/";

  await behaviour("a request without arguments is a TypeError", () => throws("TypeError", () => new PresentationRequest()));
  await behaviour("a request without URLs is a NotSupportedError", () => throws("NotSupportedError", () => new PresentationRequest([])));
  await behaviour("a request with what is no URL is a SyntaxError", () => {
    throws("SyntaxError", () => new PresentationRequest("https://@"));
    throws("SyntaxError", () => new PresentationRequest([url, "https://@"]));
  });
  await behaviour("a request that no device can show is a NotSupportedError", () => {
    throws("NotSupportedError", () => new PresentationRequest("unsupported://example.com"));
    throws("NotSupportedError", () => new PresentationRequest(["unsupported://example.com", "invalid://example.com"]));
  });
  await behaviour("what no device can show is left out beside what one can", () => {
    same(new PresentationRequest([url, "unsupported://example.com"]) instanceof PresentationRequest, true);
  });
  await behaviour("a relative URL is one of this document", () => {
    same(new PresentationRequest("presentation.html") instanceof PresentationRequest, true);
    same(new PresentationRequest("") instanceof PresentationRequest, true);
  });
  await behaviour("a request is an event target with a handler", () => {
    const request = new PresentationRequest(url);
    same(request instanceof EventTarget, true);
    same(request.onconnectionavailable, null);
    const handler = () => {};
    request.onconnectionavailable = handler;
    same(request.onconnectionavailable, handler);
    request.onconnectionavailable = 3;
    same(request.onconnectionavailable, null);
  });
  await behaviour("a handler that is set again is called once", () => {
    const request = new PresentationRequest(url);
    let calls = 0;
    request.onconnectionavailable = () => (calls += 100);
    request.onconnectionavailable = () => (calls += 1);
    request.dispatchEvent(new Event("connectionavailable"));
    same(calls, 1);
  });
  await behaviour("the default request is null, a request, or a TypeError", () => {
    same(navigator.presentation.defaultRequest, null);
    const request = new PresentationRequest(url);
    navigator.presentation.defaultRequest = request;
    same(navigator.presentation.defaultRequest, request);
    throws("TypeError", () => {
      "use strict";
      navigator.presentation.defaultRequest = {};
    });
    same(navigator.presentation.defaultRequest, request);
    navigator.presentation.defaultRequest = null;
    same(navigator.presentation.defaultRequest, null);
  });
  await behaviour("a page that was not launched has no receiver", () => same(navigator.presentation.receiver, null));
  await behaviour("nobody but the browser makes the other objects", () => {
    for (const name of ["Presentation", "PresentationAvailability", "PresentationConnection", "PresentationConnectionList", "PresentationReceiver"]) {
      throws("TypeError", () => new window[name]());
    }
  });
  await behaviour("an event of a close has a reason", () => {
    throws("TypeError", () => new PresentationConnectionCloseEvent("close"));
    throws("TypeError", () => new PresentationConnectionCloseEvent("close", {}));
    throws("TypeError", () => new PresentationConnectionCloseEvent("close", { reason: "boredom" }));
    for (const reason of ["error", "closed", "wentaway"]) {
      const event = new PresentationConnectionCloseEvent("close", { reason, message: "why" });
      same(event.reason, reason);
      same(event.message, "why");
      same(event.bubbles, false);
    }
    same(new PresentationConnectionCloseEvent("close", { reason: "error" }).message, "");
  });
  await behaviour("an event of a connection has one", () => {
    throws("TypeError", () => new PresentationConnectionAvailableEvent("connectionavailable"));
    throws("TypeError", () => new PresentationConnectionAvailableEvent("connectionavailable", { connection: null }));
  });
  await behaviour("to reconnect needs a name that is known", async () => {
    const request = new PresentationRequest(url);
    await rejects("TypeError", request.reconnect());
    await rejects("NotFoundError", request.reconnect("dummyPresentationId"));
  });
  await behaviour("to start needs a person", () => rejects("InvalidAccessError", new PresentationRequest(url).start()));
  await behaviour("availability is told, and has a handler", async () => {
    const availability = await new PresentationRequest(url).getAvailability();
    same(availability instanceof PresentationAvailability, true);
    same(availability instanceof EventTarget, true);
    same(availability.value, true);
    same(availability.onchange, null);
    const handler = () => {};
    availability.onchange = handler;
    same(availability.onchange, handler);
  });
  await behaviour("attributes cannot be written", () => {
    const request = new PresentationRequest(url);
    throws("TypeError", () => {
      "use strict";
      navigator.presentation.receiver = request;
    });
  });
  return failures;
}

/** What is measured of a channel that was opened: a PresentationConnection, or a plain RTCDataChannel. */
"use strict";

/** Answers each text with itself, and bytes when as many have come as were announced. */
function answer(channel) {
  let left = 0;
  channel.binaryType = "arraybuffer";
  channel.onmessage = ({ data }) => {
    if (typeof data !== "string") {
      left -= 1;
      if (left === 0) channel.send("all there");
    } else if (data.startsWith("messages ")) {
      left = Number(data.slice("messages ".length));
    } else {
      channel.send(data);
    }
  };
}

/** How many milliseconds each of so many texts takes there and back, one after the other, in ascending order. */
async function trips(channel, count, bytes) {
  const text = "x".repeat(bytes);
  const times = [];
  for (let trip = 0; trip < count; trip += 1) {
    const start = performance.now();
    const back = new Promise((resolve) => (channel.onmessage = resolve));
    channel.send(text);
    await back;
    times.push(performance.now() - start);
  }
  return times.sort((one, other) => one - other);
}

/** Milliseconds until so many messages are there, which are all sent at once. */
async function burst(channel, messages, bytes) {
  const message = new Uint8Array(bytes);
  channel.send(`messages ${messages}`);
  const start = performance.now();
  const there = new Promise((resolve) => (channel.onmessage = resolve));
  for (let sent = 0; sent < messages; sent += 1) channel.send(message);
  await there;
  return performance.now() - start;
}

/** Of a target's next event of this kind. */
function next(target, kind) {
  return new Promise((resolve) => target.addEventListener(kind, resolve, { once: true }));
}

/** A person's click does the job, whose result is `outcome`. */
let job = () => {};
let outcome = null;
addEventListener("click", () => (outcome = job()));

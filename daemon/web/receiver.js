/**
 * A sample receiver: it plays ?video=URL, or a test card where there is none, shows what controllers say, and obeys a few words:
 * play, pause, where, stop. Everything else it repeats, texts and bytes, so that a controller sees that it was heard.
 */
"use strict";

const LINES_MAX = 5;
const video = document.getElementById("video");

function show(text) {
  const said = document.getElementById("said");
  const line = document.createElement("p");
  line.textContent = text;
  said.append(line);
  while (said.children.length > LINES_MAX) said.firstElementChild.remove();
}

/** Colour bars and the time, as a video. */
function testCard() {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1280, height: 720 });
  const paint = canvas.getContext("2d");
  const colours = ["#c0c0c0", "#c0c000", "#00c0c0", "#00c000", "#c000c0", "#c00000", "#0000c0"];
  let frames = 0;
  const draw = () => {
    colours.forEach((colour, place) => {
      paint.fillStyle = colour;
      paint.fillRect((place * 1280) / 7, 0, 1280 / 7 + 1, 720);
    });
    paint.fillStyle = "#000c";
    paint.fillRect(340, 270, 600, 180);
    paint.fillStyle = "#fff";
    paint.font = "600 72px system-ui";
    paint.textAlign = "center";
    paint.fillText(new Date().toLocaleTimeString(), 640, 350);
    paint.font = "32px system-ui";
    paint.fillText(`frame ${(frames += 1)}`, 640, 410);
  };
  draw();
  setInterval(draw, 100);
  return canvas.captureStream(10);
}

const source = new URLSearchParams(location.search).get("video");
if (source) video.src = source;
else video.srcObject = testCard();
// Without sound it may; where it may not, the controller says play.
video.play().catch(() => {});

function obey(word) {
  if (word === "play") video.play().catch(() => {});
  if (word === "pause") video.pause();
  return JSON.stringify({ order: word, state: video.paused ? "paused" : "playing", position: video.currentTime });
}

function hear(connection, data) {
  if (typeof data !== "string") {
    show(`${data.byteLength} bytes`);
    return connection.send(data);
  }
  show(data);
  if (data === "stop") return connection.terminate();
  connection.send(["play", "pause", "where"].includes(data) ? obey(data) : data);
}

function welcome(connection) {
  connection.onmessage = ({ data }) => hear(connection, data);
  connection.onclose = count;
}

async function receive() {
  const { receiver } = navigator.presentation;
  if (!receiver) return show("This page is to be shown by a device: start its address from another one.");
  const list = await receiver.connectionList;
  count = () => {
    const { length } = list.connections;
    document.getElementById("who").textContent = length === 1 ? "1 controller" : `${length} controllers`;
  };
  list.connections.forEach(welcome);
  list.onconnectionavailable = ({ connection }) => {
    welcome(connection);
    count();
  };
  count();
}

let count = () => {};
receive().catch((error) => show(error.message));

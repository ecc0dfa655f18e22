/** The window that opens when a page asks for a screen; it closes when nobody asks any more. */
"use strict";

let hasAsked = false;
greenroom.addEventListener("choice", () => (hasAsked = true));
greenroom.addEventListener("choiceOver", () => {
  if (hasAsked && waiting.size === 0) window.close();
});

whileConnected(async () => {
  await lookForDevices();
  await greenroom.ask("watchChoices");
});

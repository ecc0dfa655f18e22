/** What the bridge's own pages share: who the person is, and how something is shown. */
"use strict";

const TOKEN_KEY = "greenroom-token";

/** The address that 'greenroom-web --link' prints has it; the browser's history is not to keep it. */
function takeToken() {
  const found = /^#token=(.+)$/.exec(location.hash);
  if (found) {
    localStorage.setItem(TOKEN_KEY, decodeURIComponent(found[1]));
    history.replaceState(null, "", location.pathname);
  }
  return localStorage.getItem(TOKEN_KEY) ?? "";
}

greenroom.setToken(takeToken());

/** An element with these properties and children. */
function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** An address as people read it. */
function friendly(url) {
  return url.replace(/^https?:\/\//, "").replace(/\/$/, "");
}

const find = (id) => document.getElementById(id);

/** Calls `begin` once this page is let in, and again whenever the connection was lost. */
async function whileConnected(begin) {
  for (;;) {
    const lost = new Promise((resolve) => greenroom.addEventListener("lost", resolve, { once: true }));
    try {
      await begin();
      find("problem").hidden = true;
      find("problem").textContent = "";
      const { detail } = await lost;
      showProblem(detail);
    } catch (error) {
      showProblem(error.message);
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

function showProblem(why) {
  find("problem").hidden = false;
  find("problem").textContent = why;
}

// Which view is shown, and what all of them share.

import { ask, byId, h, learn, plural, trouble } from "./dom.js";
import * as live from "./live.js";
import * as events from "./events.js";
import * as thresholds from "./thresholds.js";
import * as health from "./health.js";

const views = { live, events, thresholds, health };
const titles = { live: "Live", events: "Events", thresholds: "Thresholds", health: "Health" };
let about = null;
let shown = null;

function show() {
  if (location.hash && !location.hash.startsWith("#/")) {
    byId("main").focus();
    return;
  }
  const name = location.hash.slice(2) in views ? location.hash.slice(2) : "live";
  if (name === shown) return;
  if (shown) views[shown].leave();
  shown = name;
  for (const other of Object.keys(views)) byId(other).hidden = other !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${titles[name]} – ${about.name} – Earwitness`;
  trouble(null);
  views[name].enter(about);
}

/** How the sources are doing, in a word, beside the views. */
async function look() {
  if (document.hidden) return;
  const state = byId("state");
  try {
    const sources = await ask("/api/health");
    const problems = sources.flatMap((source) => source.findings).filter((finding) => finding.weight === "problem");
    const words = problems.length ? plural(problems.length, "problem") : sources.every((source) => source.hears) ? "Listening" : "Not listening";
    const weight = problems.length ? "problem" : words === "Listening" ? "good" : "note";
    if (state.dataset.words === words) return;
    state.dataset.words = words;
    state.replaceChildren(h("span", { className: `dot ${weight}`, "aria-hidden": "true" }), problems.length ? h("a", { href: "#/health" }, words) : words);
  } catch {
    state.dataset.words = "";
    state.replaceChildren(h("span", { className: "dot problem", "aria-hidden": "true" }), "No connection");
  }
}

const themes = ["auto", "light", "dark"];
const wished = () => { try { return localStorage.getItem("theme") ?? "auto"; } catch { return "auto"; } };
const dark = matchMedia("(prefers-color-scheme: dark)");

function paint() {
  const wish = wished();
  document.documentElement.dataset.theme = wish === "auto" ? (dark.matches ? "dark" : "light") : wish;
  byId("theme").textContent = { auto: "◐ Auto", light: "○ Light", dark: "● Dark" }[wish];
  byId("theme").setAttribute("aria-label", `Colours: ${wish}. Change them`);
}

byId("theme").addEventListener("click", () => {
  const next = themes[(themes.indexOf(wished()) + 1) % themes.length];
  try { localStorage.setItem("theme", next); } catch { /* The wish ends with the page. */ }
  paint();
});
dark.addEventListener("change", paint);
paint();

async function start() {
  try {
    about = await learn();
  } catch (error) {
    trouble(`The device does not answer: ${error.message}. Trying again.`);
    setTimeout(start, 2000);
    return;
  }
  trouble(null);
  byId("device").textContent = about.name;
  addEventListener("hashchange", show);
  addEventListener("rules", async () => {
    about = await learn().catch(() => about);
    views[shown].rules?.(about);
  });
  show();
  look();
  setInterval(look, 5000);
}

start();

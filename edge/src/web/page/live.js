// What is heard just now: one strip per source, and the latest events. The stream of messages is
// open only while this view is shown.

import { ask, byId, h, learn, length, mark, spoken, timeOfDay, trouble } from "./dom.js";
import { Strip } from "./strip.js";

const N_LATEST = 8;
let strips = [];
let stream = null;
let shown = false;
let paused = false;
let latest = new Map();
let ticking = 0;

export function enter(about) {
  shown = true;
  build(about);
  fetchLatest();
  open();
  requestAnimationFrame(draw);
  ticking = setInterval(list, 1000);
}

export function leave() {
  shown = false;
  clearInterval(ticking);
  close();
}

export function rules(about) {
  strips.forEach((strip) => strip.setRules(about));
}

function build(about) {
  strips = about.sources.map((source) => new Strip(source, about));
  byId("strips").replaceChildren(...strips.map((strip) => strip.element));
}

function open() {
  if (stream || paused || !shown || document.hidden) return;
  stream = new EventSource("/api/live");
  stream.addEventListener("open", () => trouble(null));
  stream.addEventListener("pulses", (message) => {
    const now = performance.now();
    for (const pulse of JSON.parse(message.data)) {
      // The source has started only now.
      if (!strips[pulse.source].scale) return void learn().then(build);
      strips[pulse.source].take(pulse, now);
    }
  });
  stream.addEventListener("event", (message) => {
    const event = JSON.parse(message.data);
    add({ id: event.id, source: event.device, label: event.label, onset_ms: Date.parse(event.onset), offset_ms: event.offset && Date.parse(event.offset) });
    list();
    if (event.phase === "onset") byId("spoken").textContent = `${spoken(event.label)} at ${timeOfDay(Date.parse(event.onset))}`;
  });
  stream.addEventListener("rules", () => dispatchEvent(new Event("rules")));
  stream.addEventListener("end", () => trouble("The device has stopped listening."));
  stream.addEventListener("error", () => {
    trouble("The connection is lost. Trying again.");
    // A browser gives up if it is refused, and only waits if nothing answers.
    if (stream?.readyState === EventSource.CLOSED) {
      close();
      setTimeout(open, 3000);
    }
  });
}

function close() {
  stream?.close();
  stream = null;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) close();
  else if (shown) {
    open();
    fetchLatest();
  }
});

function pause() {
  paused = !paused;
  byId("pause").textContent = paused ? "Resume" : "Pause";
  byId("pause").setAttribute("aria-pressed", paused);
  if (paused) close();
  else open();
}
byId("pause").addEventListener("click", pause);
document.addEventListener("keydown", (event) => {
  if (shown && event.key === " " && event.target === document.body) {
    event.preventDefault();
    pause();
  }
});

function draw(now) {
  if (!shown) return;
  if (!paused && !document.hidden) strips.forEach((strip) => strip.draw(now));
  requestAnimationFrame(draw);
}

async function fetchLatest() {
  const from = new Date(Date.now() - 24 * 3600e3).toISOString();
  try {
    const { events } = await ask(`/api/events?from=${encodeURIComponent(from)}`);
    events.slice(-N_LATEST).forEach(add);
    list();
  } catch (error) {
    trouble(error.message);
  }
}

function add(event) {
  const known = latest.get(event.id);
  if (known?.offset_ms) return;
  latest.set(event.id, event);
  const kept = [...latest.values()].sort((a, b) => b.onset_ms - a.onset_ms).slice(0, N_LATEST);
  latest = new Map(kept.map((event) => [event.id, event]));
}

function list() {
  const now = Date.now();
  const rows = [...latest.values()].map((event) => ({ event, words: event.offset_ms ? length(event.offset_ms - event.onset_ms) : `ongoing, ${length(Math.max(0, now - event.onset_ms), true)}` }));
  byId("latest-none").hidden = rows.length > 0;
  const place = byId("latest");
  const known = new Map([...place.children].map((row) => [row.dataset.id, row]));
  const wanted = rows.map(({ event, words }) => {
    const row = known.get(event.id) ?? h("li", {}, h("time", {}, timeOfDay(event.onset_ms)), mark(event.label), h("span", {}, spoken(event.label), strips.length > 1 ? ` · ${event.source}` : ""), h("span", { className: "long" }));
    row.dataset.id = event.id;
    const last = row.lastChild;
    if (last.textContent !== words) last.textContent = words;
    last.classList.toggle("going", !event.offset_ms);
    return row;
  });
  if (wanted.length !== place.children.length || wanted.some((row, at) => place.children[at] !== row)) place.replaceChildren(...wanted);
}

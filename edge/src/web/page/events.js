// What has been heard on a day: a timeline, a chart by the hour, a table, and files of it.

import { ask, byId, h, hourAndMinute, length, mark, plural, spoken, svg, timeOfDay, trouble } from "./dom.js";
import { play, stop } from "./clips.js";

const N_ROWS = 30;
let about = null;
let shown = false;
let timer = 0;
let events = [];
let span = [0, 0];
let nRows = N_ROWS;

export function enter(known) {
  about = known;
  shown = true;
  if (!byId("day").value) byId("day").value = dayOf(new Date());
  const options = (select, names, say) => {
    if (select.options.length > 1) return;
    select.append(...names.map((name) => h("option", { value: name }, say(name))));
  };
  options(byId("label"), about.labels.filter((label) => !label.background).map((label) => label.label).sort(), spoken);
  options(byId("source"), about.sources.map((source) => source.name), (name) => name);
  byId("kept").textContent = about.keep_days === null
    ? "These are the events since the program started, as many as fit into memory. To keep them for longer, set keep_days and file under [journal] in the configuration."
    : `Events are kept for ${plural(about.keep_days, "day")}.`;
  byId("clip-column").hidden = !about.clips;
  load();
}

export function leave() {
  shown = false;
  stop();
  clearTimeout(timer);
}

/** 2026-01-31, in the browser's time zone. */
function dayOf(date) {
  return `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;
}

function wanted() {
  const range = byId("range").value;
  if (range !== "day") return [Date.now() - range * 60e3, Date.now()];
  const [year, month, day] = byId("day").value.split("-").map(Number);
  // A day of the calendar: it may have 23 or 25 hours.
  return [new Date(year, month - 1, day).getTime(), new Date(year, month - 1, day + 1).getTime()];
}

async function load() {
  clearTimeout(timer);
  if (!shown || !byId("day").value) return;
  byId("day").disabled = byId("range").value !== "day";
  byId("earlier").disabled = byId("later").disabled = byId("day").disabled;
  span = wanted();
  const query = new URLSearchParams({ from: new Date(span[0]).toISOString(), to: new Date(span[1]).toISOString() });
  for (const name of ["label", "source"]) if (byId(name).value) query.set(name, byId(name).value);
  byId("csv").href = `/api/events.csv?${query}`;
  byId("json").href = `/api/events.json?${query}`;
  try {
    if (!document.hidden) {
      events = (await ask(`/api/events?${query}`)).events;
      trouble(null);
      show();
    }
  } catch (error) {
    trouble(error.message);
  }
  // Only what may still grow is fetched again.
  if (shown && span[1] >= Date.now() - 5e3) timer = setTimeout(load, 4000);
}

function show() {
  const byLabel = new Map();
  for (const event of events) byLabel.set(event.label, [...(byLabel.get(event.label) ?? []), event]);
  const groups = [...byLabel].sort((a, b) => b[1].length - a[1].length || a[0].localeCompare(b[0]));
  const words = events.length === 0 ? "No events." : `${plural(events.length, "event")} of ${plural(groups.length, "label")}${events.length >= about.max_events ? ", the newest of that time" : ""}.`;
  if (byId("summary").textContent !== words) byId("summary").textContent = words;
  for (const card of document.querySelectorAll("#events > section:not(#player)"))  card.hidden = events.length === 0;
  byId("more").hidden = events.length <= nRows;
  timeline(groups);
  chart(groups);
  table();
}

const end = (event) => event.offset_ms ?? Math.max(event.onset_ms, Math.min(Date.now(), span[1]));
const share = (ms) => Math.max(0, Math.min(100, ((ms - span[0]) / (span[1] - span[0])) * 100));

/** Neighbours that would be drawn on the same place are drawn as one. */
function merged(group) {
  const least = (span[1] - span[0]) / 1500;
  const spans = [];
  for (const event of group) {
    const last = spans.at(-1);
    if (last && event.onset_ms - last[1] < least) last[1] = Math.max(last[1], end(event));
    else spans.push([event.onset_ms, end(event)]);
  }
  return spans;
}

function timeline(groups) {
  byId("lanes").replaceChildren(...groups.map(([label, group]) => h("li", {},
    h("span", { className: "name" }, mark(label), spoken(label)),
    h("span", { className: "lane", "aria-hidden": "true" }, merged(group).map(([from, to]) => h("i", { tint: label, style: { left: `${share(from)}%`, width: `${share(to) - share(from)}%` }, title: `${timeOfDay(from)} to ${timeOfDay(to)}` }))),
    h("span", { className: "total" }, `${group.length}× · ${length(group.reduce((sum, event) => sum + end(event) - event.onset_ms, 0))}`))));
  const n = 6;
  byId("hours").replaceChildren(...Array.from({ length: n + 1 }, (_, at) => {
    const ms = span[0] + ((span[1] - span[0]) * at) / n;
    return h("span", { style: { left: `${(at / n) * 100}%` } }, at === n && byId("range").value === "day" ? "24:00" : hourAndMinute(ms));
  }));
}

/** Hours of the day, or shorter pieces of a shorter time. */
function pieces() {
  const n = { day: Math.round((span[1] - span[0]) / 3600e3), 60: 12, 10: 10 }[byId("range").value];
  const step = (span[1] - span[0]) / n;
  return Array.from({ length: n }, (_, at) => ({ from: span[0] + at * step, counts: new Map(), total: 0 }));
}

function chart(groups) {
  const all = pieces();
  const step = (span[1] - span[0]) / all.length;
  for (const event of events) {
    const piece = all[Math.max(0, Math.min(all.length - 1, Math.floor((event.onset_ms - span[0]) / step)))];
    piece.counts.set(event.label, (piece.counts.get(event.label) ?? 0) + 1);
    piece.total += 1;
  }
  const [width, height, left, bottom] = [Math.max(240, byId("chart").clientWidth), 176, 30, 20];
  const most = Math.max(1, ...all.map((piece) => piece.total));
  const top = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000].find((n) => n >= most) ?? most;
  const y = (n) => 8 + (height - bottom - 8) * (1 - n / top);
  const each = (width - left) / all.length;
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Events over time; the highest bar has ${plural(most, "event")}. The numbers are in the table below.` });
  for (const n of [0, top / 2, top].filter(Number.isInteger)) {
    drawing.append(svg("line", { class: "grid", x1: left, x2: width, y1: y(n), y2: y(n) }), svg("text", { x: left - 6, y: y(n) + 4, "text-anchor": "end" }, String(n)));
  }
  all.forEach((piece, at) => {
    let from = 0;
    for (const [label] of groups) {
      const n = piece.counts.get(label);
      if (!n) continue;
      drawing.append(svg("rect", { tint: label, x: left + at * each + each * 0.14, width: each * 0.72, y: y(from + n), height: y(from) - y(from + n), rx: 1.5 }, svg("title", {}, `${hourAndMinute(piece.from)}: ${plural(n, "event")}, ${spoken(label)}`)));
      from += n;
    }
    if (at % Math.ceil(44 / each) === 0) drawing.append(svg("text", { x: left + (at + 0.5) * each, y: height - 4, "text-anchor": "middle" }, hourAndMinute(piece.from)));
  });
  byId("chart").replaceChildren(drawing);
  byId("legend").replaceChildren(...groups.map(([label]) => h("li", {}, mark(label), spoken(label))));
  const rows = all.filter((piece) => piece.total);
  byId("counts").replaceChildren(h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "From"), groups.map(([label]) => h("th", { scope: "col", className: "number" }, spoken(label))), h("th", { scope: "col", className: "number" }, "All"))),
    h("tbody", {}, rows.map((piece) => h("tr", {}, h("th", { scope: "row" }, hourAndMinute(piece.from)), groups.map(([label]) => h("td", { className: "number" }, String(piece.counts.get(label) ?? 0))), h("td", { className: "number" }, String(piece.total)))))));
}

function table() {
  const newest = events.slice(-nRows).reverse();
  // The same rows stay, and with them the focus.
  const text = JSON.stringify(newest);
  if (byId("rows").dataset.text === text) return;
  byId("rows").dataset.text = text;
  byId("rows").replaceChildren(...newest.map((event) => h("tr", {},
    h("td", {}, h("time", { dateTime: new Date(event.onset_ms).toISOString() }, timeOfDay(event.onset_ms))),
    h("td", {}, mark(event.label), spoken(event.label)),
    h("td", {}, event.source),
    h("td", { className: "number" }, event.offset_ms ? length(event.offset_ms - event.onset_ms) : "ongoing"),
    h("td", { className: "number" }, event.peak.toFixed(2)),
    about.clips ? h("td", {}, event.clip ? button(event) : null) : null)));
}

/** Plays the event's clip; shows its mark. */
function button(event) {
  const said = event.mark === "right" ? " ✓" : event.mark ? " ✕" : "";
  const words = { "": "", " ✓": ", marked as right", " ✕": `, marked as ${spoken(event.mark?.wrong ?? "")}` }[said];
  const element = h("button", { type: "button", className: "play", "aria-label": `Play ${spoken(event.label)} of ${timeOfDay(event.onset_ms)}${words}` }, `▶${said}`);
  element.addEventListener("click", () => play(event, about, load));
  return element;
}

byId("more").addEventListener("click", () => {
  nRows += 5 * N_ROWS;
  show();
});
addEventListener("resize", () => {
  if (shown) show();
});
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("filters").addEventListener("change", () => {
  nRows = N_ROWS;
  load();
});
for (const [id, days] of [["earlier", -1], ["later", 1]]) {
  byId(id).addEventListener("click", () => {
    const [year, month, day] = byId("day").value.split("-").map(Number);
    byId("day").value = dayOf(new Date(year, month - 1, day + days));
    load();
  });
}

// Thresholds by label, and what others would have reported in the last hour.

import { ask, byId, h, hourAndMinute, length, plural, spoken, svg, timeOfDay } from "./dom.js";

let about = null;
let shown = false;
let chosen = null;
let wishes = new Map();
let request = null;
let waiting = 0;

export function enter(known) {
  shown = true;
  const first = about === null;
  about = known;
  byId("which").hidden = about.sources.length < 2;
  if (first) byId("threshold-source").append(...about.sources.map((source, at) => h("option", { value: at }, source.name)));
  build();
  preview();
}

export function leave() {
  shown = false;
  clearTimeout(waiting);
}

export function rules(known) {
  about = known;
  build();
  preview();
}

const reported = () => about.labels.filter((label) => label.reported);
const wish = (label) => wishes.get(label.label) ?? { on: label.on, off: label.off };
const changed = (label) => wish(label).on !== label.on || wish(label).off !== label.off;
const two = (value) => value.toFixed(2);

function build() {
  const labels = reported().sort((a, b) => a.label.localeCompare(b.label));
  if (!labels.some((label) => label.label === chosen)) chosen = labels[0]?.label ?? null;
  byId("sliders").replaceChildren(...labels.map((label) => {
    const value = h("output", {}, two(wish(label).on));
    const slider = h("input", { type: "range", min: 0.01, max: 1, step: 0.01, value: wish(label).on });
    const row = h("li", {}, h("label", {}, h("span", {}, spoken(label.label)), slider), value);
    row.dataset.label = label.label;
    slider.addEventListener("focus", () => choose(label.label));
    slider.addEventListener("input", () => {
      // The lower threshold goes with the upper one.
      const on = Number(slider.value);
      set(label, { on, off: Math.max(0.01, Math.round((label.off / label.on) * on * 100) / 100) });
    });
    return row;
  }));
  refresh();
}

function choose(name) {
  if (chosen === name) return;
  chosen = name;
  refresh();
  preview();
}

function set(label, { on, off }) {
  chosen = label.label;
  wishes.set(label.label, { on, off: Math.min(off, on) });
  refresh();
  preview(120);
}

/** Everything that shows thresholds, with the values that are set on the page. */
function refresh() {
  for (const row of byId("sliders").children) {
    const label = about.labels.find((label) => label.label === row.dataset.label);
    row.classList.toggle("is-chosen", label.label === chosen);
    const [slider, value] = [row.querySelector("input"), row.querySelector("output")];
    if (document.activeElement !== slider) slider.value = wish(label).on;
    value.textContent = two(wish(label).on);
    value.classList.toggle("is-changed", changed(label));
  }
  const label = about.labels.find((label) => label.label === chosen);
  if (!label) return;
  const { on, off } = wish(label);
  byId("preview-title").textContent = `Preview: ${spoken(chosen)}`;
  for (const [id, value] of [["on", on], ["off", off]]) {
    byId(id).value = value;
    byId(`${id}-value`).textContent = two(value);
  }
  writing(label);
}

/** A button if the page may write; otherwise the lines to copy. */
function writing(label, words = "") {
  const { on, off } = wish(label);
  const lines = `[decide.classes.${/^[A-Za-z0-9_-]+$/.test(label.label) ? label.label : JSON.stringify(label.label)}]\nthreshold_on = ${on}\nthreshold_off = ${off}`;
  const place = byId("writing");
  if (!changed(label)) {
    place.replaceChildren(h("p", { className: "quiet", role: "status" }, words || "These thresholds are in use."));
    return;
  }
  const reset = h("button", { type: "button" }, "Reset");
  reset.addEventListener("click", () => {
    wishes.delete(label.label);
    build();
    preview();
  });
  if (!about.writable) {
    place.replaceChildren(h("p", { className: "quiet" }, "To use these thresholds, write this into the configuration and reload the program; or start the page with permission to do so (web.write)."), h("pre", { tabIndex: 0 }, lines), h("p", { className: "row" }, reset));
    return;
  }
  const button = h("button", { type: "button", className: "primary" }, "Write to the configuration");
  const said = h("span", { className: "quiet", role: "status" }, words || about.writable);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await ask("/api/thresholds", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ label: label.label, on, off }) });
      wishes.delete(label.label);
      await taken(label.label, on);
      writing(about.labels.find((other) => other.label === label.label), "Written. These thresholds are in use.");
    } catch (error) {
      button.disabled = false;
      said.textContent = error.message;
    }
  });
  place.replaceChildren(h("p", { className: "row" }, button, reset, said));
}

/** Waits until the program has taken over what was written. */
async function taken(name, on) {
  for (let n = 0; n < 40; n++) {
    about = await ask("/api/about");
    if (about.labels.find((label) => label.label === name).on === on) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  build();
  preview();
}

function preview(delay = 0) {
  clearTimeout(waiting);
  request?.abort();
  if (!shown || !chosen) return;
  waiting = setTimeout(fetchPreview, delay);
}

async function fetchPreview() {
  const label = about.labels.find((label) => label.label === chosen);
  const { on, off } = wish(label);
  request = new AbortController();
  try {
    const query = new URLSearchParams({ source: byId("threshold-source").value || 0, label: chosen, on, off });
    draw(await ask(`/api/preview?${query}`, { signal: request.signal }), label, on, off);
  } catch (error) {
    if (error.name !== "AbortError") byId("preview").textContent = error.message;
  }
}

function draw({ curve, now, then }, label, on, off) {
  if (curve.length < 2) {
    byId("curve").replaceChildren();
    byId("preview").textContent = "Nothing has been heard yet: scores appear here as sound arrives.";
    return;
  }
  const [first, last] = [curve[0][0], curve.at(-1)[0]];
  const x = (ms) => ((ms - first) / (last - first)) * 1000;
  const y = (score) => 100 - score * 96;
  const points = curve.map(([ms, score]) => `${x(ms).toFixed(1)},${y(score).toFixed(1)}`).join(" ");
  const limit = (value, kind) => svg("line", { class: `limit ${kind}`, x1: 0, x2: 1000, y1: y(value), y2: y(value) });
  const drawing = svg("svg", { viewBox: "0 0 1000 102", preserveAspectRatio: "none", role: "img", "aria-label": `Score of ${spoken(chosen)} from ${timeOfDay(first)} to ${timeOfDay(last)}, with both thresholds.` },
    svg("polygon", { class: "under", points: `0,100 ${points} 1000,100` }), svg("polyline", { class: "scores", points }), limit(on, "on"), limit(off, "off"));
  const lane = (spans) => h("span", { className: "spans", "aria-hidden": "true" }, spans.map(([from, to]) => h("i", { tint: chosen, style: { left: `${x(from) / 10}%`, width: `${(x(to) - x(from)) / 10}%` } })));
  byId("curve").replaceChildren(drawing,
    h("p", { className: "ages" }, h("span", {}, hourAndMinute(first)), h("span", {}, hourAndMinute(last))),
    h("div", { className: "compare" }, h("span", {}, "As it is"), lane(now), h("span", {}, "With these"), lane(then)));
  const total = (spans) => `${plural(spans.length, "event")}${spans.length ? `, ${length(spans.reduce((sum, [from, to]) => sum + to - from, 0))} in all` : ""}`;
  const words = `In the last ${length(last - first)}: ${total(now)} with the thresholds in use`;
  byId("preview").textContent = changed(label) ? `${words}; ${total(then)} with these thresholds.` : `${words}.`;
}

for (const id of ["on", "off"]) {
  byId(id).addEventListener("input", () => {
    const label = about.labels.find((label) => label.label === chosen);
    let [on, off] = [Number(byId("on").value), Number(byId("off").value)];
    if (id === "on") off = Math.min(off, on);
    else on = Math.max(on, off);
    set(label, { on, off });
  });
}
byId("threshold-source").addEventListener("change", () => preview());

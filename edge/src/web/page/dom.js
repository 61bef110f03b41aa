// Elements, requests, times and colours.

/** An element with properties and children; a text is a text. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  return fill(element, props, children);
}

/** The same for drawings. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "tint") tint(element, value);
    else element.setAttribute(name, value);
  }
  element.append(...children.flat());
  return element;
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name === "tint") tint(element, value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name in element && !name.includes("-")) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** What `path` answers; an error says why it gave no answer. */
export async function ask(path, options = {}) {
  const response = await fetch(path, { cache: "no-store", ...options });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `The device answered ${response.status}`);
  return answer;
}

/** Tells the reader that something does not work, or that it does again. */
export function trouble(words) {
  const place = byId("trouble");
  place.hidden = !words;
  if (place.textContent !== (words ?? "")) place.textContent = words ?? "";
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** 14:03:27 */
export const timeOfDay = (ms) => clock.format(ms);

/** 14:03 */
export const hourAndMinute = (ms) => minute.format(ms);

/** 12 s, 3 min 20 s, 2 h 5 min; below ten seconds to a tenth, unless it is `whole`. */
export function length(ms, whole = false) {
  const seconds = whole ? Math.round(ms / 1000) : ms / 1000;
  if (seconds < 10 && !whole) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min${seconds % 60 >= 1 ? ` ${Math.floor(seconds % 60)} s` : ""}`;
  return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
}

export const plural = (n, one, many = `${one}s`) => `${n.toLocaleString()} ${n === 1 ? one : many}`;

/** As people say it: crying_baby is "crying baby". */
export const spoken = (label) => label.replace(/[-_]+/g, " ");

let labels = [];

/** What the device is: its sources, its labels and their thresholds. */
export async function learn() {
  const about = await ask("/api/about");
  labels = about.labels.map((label) => label.label);
  return about;
}

/** Gives an element the colour of a label. Neighbours in the model's list are far apart on the
 *  wheel; those that come close to each other on it, 8, 13 or 21 places apart, are not equally
 *  light. */
function tint(element, label) {
  const at = Math.max(0, labels.indexOf(label));
  element.style.setProperty("--hue", Math.round((at * 137.508 + 185) % 360));
  element.style.setProperty("--shade", (at % 5) / 2 - 1);
}

export const mark = (label) => h("span", { className: "mark", tint: label, "aria-hidden": "true" });

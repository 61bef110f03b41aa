// How the program is doing, in words.

import { ask, byId, h, length, plural, trouble } from "./dom.js";

let timer = 0;
let shown = false;

export function enter(about) {
  shown = true;
  byId("about").textContent = `Earwitness ${about.version}, model ${about.model}.`;
  look();
}

export function leave() {
  shown = false;
  clearTimeout(timer);
}

const WEIGHTS = { good: "all right", note: "could be better", problem: "problem" };

async function look() {
  clearTimeout(timer);
  try {
    if (!document.hidden) {
      const sources = await ask("/api/health");
      trouble(null);
      show(sources);
    }
  } catch (error) {
    trouble(`The device does not answer: ${error.message}`);
  }
  if (shown) timer = setTimeout(look, 4000);
}

function show(sources) {
  const text = JSON.stringify(sources.map(({ source, findings }) => [source, findings]));
  const place = byId("sources");
  if (place.dataset.text !== text) {
    place.dataset.text = text;
    place.replaceChildren(...sources.map(({ source, findings }) => h("article", { className: "card" },
      h("h2", {}, source),
      h("ul", { className: "findings" }, findings.map(({ weight, words, advice }) => h("li", {},
        h("span", { className: `sign dot ${weight}`, role: "img", "aria-label": WEIGHTS[weight], title: WEIGHTS[weight] }), h("span", {}, words), advice ? h("span", { className: "advice" }, advice) : null))),
      h("dl", { className: "figures" }))));
  }
  sources.forEach(({ report }, at) => {
    place.children[at].querySelector("dl").replaceChildren(...figures(report).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  });
}

function figures(report) {
  const known = (value, say) => (value === null || value === undefined ? "not known" : say(value));
  const all = [
    ["Running for", length(report.uptime_s * 1000)],
    ["Level", `${report.level_dbfs.toFixed(0)} dBFS`.replace("-", "−")],
    ["Computing", `${(report.load * 100).toFixed(1)} % of a core`],
    ["Newest sound", known(report.last_frame_age_s, (s) => `${s.toFixed(1)} s ago`)],
    ["Missing sound", plural(report.n_gaps, "gap")],
    ["Clipped", plural(report.n_clipped, "sample")],
    ["Clock of the source", known(report.drift_ppm, (ppm) => `${ppm >= 0 ? "+" : "−"}${Math.abs(ppm).toFixed(0)} ppm`)],
    ["Board", known(report.board_celsius, (celsius) => `${celsius} °C`)],
    ["Held back in quiet hours", plural(report.n_suppressed, "event")],
  ];
  if (report.mqtt) all.push(["Broker", report.mqtt.connected ? (report.mqtt.fault ? "connected, with a problem" : "connected") : "not connected"], ["Waiting for the broker", plural(report.mqtt.spool_events, "event")]);
  for (const webhook of report.webhooks ?? []) all.push([webhook.url, `${webhook.n_posted} posted, ${webhook.waiting_events} waiting${webhook.n_refused ? `, ${webhook.n_refused} refused` : ""}`]);
  return all;
}

// One source, live: its picture, its level, and what is likely.

import { h, spoken } from "./dom.js";

const SHOWN_S = 20;
/** A likely label stays for a while, so that the list does not flicker. */
const STAYS_MS = 2500;
const N_LIKELY = 6;
const LEAST_DB = -60;
const TICKS_HZ = [500, 1000, 2000, 4000, 8000];

/** Dark violet over orange to cream: as bright as loud. */
const COLOURS = (() => {
  const stops = [[8, 6, 15], [30, 16, 66], [80, 20, 120], [132, 38, 128], [186, 56, 118], [232, 86, 98], [251, 140, 98], [254, 198, 140], [252, 250, 200]];
  const table = new Uint8ClampedArray(256 * 3);
  for (let at = 0; at < 256; at++) {
    const place = (at / 255) * (stops.length - 1);
    const [low, part] = [Math.min(Math.floor(place), stops.length - 2), place % 1 || (at === 255 ? 1 : 0)];
    for (let c = 0; c < 3; c++) table[at * 3 + c] = stops[low][c] + (stops[low + 1][c] - stops[low][c]) * part;
  }
  return table;
})();

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Strip {
  constructor(source, about) {
    this.source = source;
    this.scale = source.scale;
    this.setRules(about);
    this.canvas = h("canvas", { role: "img" });
    this.canvas.setAttribute("aria-label", `Picture of the sound of ${source.name}: time from left to right, low to high frequencies from bottom to top. The labels that are likely are beside it.`);
    this.axis = h("div", { className: "axis", "aria-hidden": "true" });
    this.rms = h("i");
    this.peak = h("b");
    this.meter = h("div", { className: "meter", role: "meter", "aria-label": `Level of ${source.name}`, "aria-valuemin": LEAST_DB, "aria-valuemax": 0, "aria-valuenow": LEAST_DB }, this.rms, this.peak);
    this.words = h("output", {}, "no sound yet");
    this.clip = h("span", { className: "clip" }, "not clipped");
    this.list = h("ul", {}, h("li", { className: "none" }, "Nothing in particular"));
    this.element = h("article", { className: "card strip" },
      h("header", {}, h("h2", {}, source.name), h("span", { className: "what" }, source.description)),
      h("div", {},
        h("div", { className: "picture" }, this.canvas, this.axis),
        h("div", { className: "ages" }, h("span", {}, `${SHOWN_S} s ago`), h("span", {}, `${SHOWN_S / 2} s`), h("span", {}, "now")),
        h("div", { className: "level" }, h("span", { className: "name" }, "Level"), this.meter, this.words, this.clip)),
      h("section", { className: "likely" }, h("h3", {}, "Likely just now"), this.list));
    this.rows = new Map();
    this.held = { db: LEAST_DB, at: 0 };
    this.clippedAt = -Infinity;
    this.spokenAt = 0;
    this.range = [0, 120];
    this.written = 0;
    this.shown = 0;
    this.drawnAt = 0;
    if (this.scale) this.prepare();
  }

  setRules(about) {
    this.labels = about.labels;
  }

  /** The frames of the last seconds are kept in a picture that is overwritten in a circle. */
  prepare() {
    const { n_mels, pulse_frames, pulse_s, centres_hz } = this.scale;
    this.rate = pulse_frames / pulse_s;
    this.width = Math.ceil((SHOWN_S * this.rate) / pulse_frames) * pulse_frames;
    this.ring = h("canvas", { width: this.width + 64 * pulse_frames, height: n_mels });
    this.ink = this.ring.getContext("2d", { willReadFrequently: false });
    this.pulse = this.ink.createImageData(pulse_frames, n_mels);
    this.axis.replaceChildren(...TICKS_HZ.filter((hz) => hz > centres_hz[1] && hz < centres_hz[n_mels - 2]).map((hz) => {
      const above = centres_hz.findIndex((centre) => centre >= hz);
      const part = above - (centres_hz[above] - hz) / (centres_hz[above] - centres_hz[above - 1]);
      return h("span", { style: { bottom: `${((part + 0.5) / n_mels) * 100}%` } }, hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`);
    }));
  }

  take(message, now) {
    this.write(message.columns);
    this.level(message, now);
    this.likely(message.likely, now);
  }

  write(columns) {
    const bytes = Uint8Array.from(atob(columns), (c) => c.charCodeAt(0));
    const { n_mels, pulse_frames } = this.scale;
    this.adapt(bytes);
    const [low, high] = this.range;
    const { data } = this.pulse;
    for (let frame = 0; frame < pulse_frames; frame++) {
      for (let band = 0; band < n_mels; band++) {
        const shade = Math.max(0, Math.min(255, Math.round(((bytes[frame * n_mels + band] - low) / (high - low)) * 255))) * 3;
        const at = ((n_mels - 1 - band) * pulse_frames + frame) * 4;
        data[at] = COLOURS[shade];
        data[at + 1] = COLOURS[shade + 1];
        data[at + 2] = COLOURS[shade + 2];
        data[at + 3] = 255;
      }
    }
    this.ink.putImageData(this.pulse, this.written % this.ring.width, 0);
    this.written += pulse_frames;
  }

  /** From the noise of the room to the loudest of late: both follow slowly. */
  adapt(bytes) {
    const sorted = Uint8Array.from(bytes).sort();
    const [low, high] = [sorted[Math.floor(sorted.length * 0.1)], sorted[Math.floor(sorted.length * 0.995)]];
    const first = this.written === 0;
    this.range[0] += (low - this.range[0]) * (first ? 1 : 0.02);
    const top = Math.max(high + 6, this.range[0] + 70);
    this.range[1] += (top - this.range[1]) * (first ? 1 : top > this.range[1] ? 0.2 : 0.01);
  }

  level({ rms_dbfs, peak_dbfs, n_clipped }, now) {
    const place = (db) => `${Math.max(0, Math.min(100, (1 - db / LEAST_DB) * 100))}%`;
    this.rms.style.width = place(rms_dbfs);
    const peak = peak_dbfs ?? rms_dbfs;
    if (peak >= this.held.db || now - this.held.at > 1500) this.held = { db: peak, at: now };
    this.peak.style.left = place(this.held.db);
    if (n_clipped > 0) this.clippedAt = now;
    const clips = now - this.clippedAt < 3000;
    if (this.clip.classList.toggle("is-on", clips) !== (this.clip.textContent === "clipped")) this.clip.textContent = clips ? "clipped" : "not clipped";
    if (now - this.spokenAt < 400) return;
    this.spokenAt = now;
    const words = `${rms_dbfs.toFixed(0)} dBFS${peak_dbfs === null ? "" : `, peak ${this.held.db.toFixed(0)}`}`.replaceAll("-", "−");
    this.words.textContent = words;
    this.meter.setAttribute("aria-valuenow", Math.max(LEAST_DB, Math.round(rms_dbfs)));
    this.meter.setAttribute("aria-valuetext", words);
  }

  likely(likely, now) {
    for (const [at, score] of likely) {
      const { label, background, on } = this.labels[at];
      if (background || score < 0.05 && !this.rows.has(at)) continue;
      const row = this.rows.get(at) ?? this.row(at, label, on);
      row.score = score;
      row.seen = now;
    }
    for (const [at, row] of this.rows) {
      if (row.seen !== now) row.score *= 0.7;
      if (now - row.seen > STAYS_MS) this.rows.delete(at);
      const { on } = this.labels[at];
      row.fill.style.width = `${row.score * 100}%`;
      row.number.textContent = row.score.toFixed(2);
      row.element.classList.toggle("is-on", on !== null && row.score >= on);
      row.tick.hidden = on === null;
      if (on !== null) row.tick.style.left = `${on * 100}%`;
    }
    if (now - (this.sortedAt ?? 0) < 500) return;
    this.sortedAt = now;
    const rows = [...this.rows.values()].sort((a, b) => b.score - a.score).slice(0, N_LIKELY).map((row) => row.element);
    const wanted = rows.length ? rows : [this.nothing ??= h("li", { className: "none" }, "Nothing in particular")];
    if (wanted.length !== this.list.children.length || wanted.some((element, at) => this.list.children[at] !== element)) this.list.replaceChildren(...wanted);
  }

  row(at, label, on) {
    const [fill, tick, number] = [h("i"), h("b", { title: on === null ? "" : `an event begins at ${on}` }), h("span", { className: "score" })];
    const name = h("span", {}, spoken(label), on === null ? " (not reported)" : "");
    const element = h("li", { tint: label }, name, number, h("span", { className: "track", "aria-hidden": "true" }, fill, tick));
    const row = { element, fill, tick, number, score: 0, seen: 0 };
    this.rows.set(at, row);
    return row;
  }

  /** Draws the last seconds, a little after what has arrived, so that it moves evenly. */
  draw(now) {
    if (!this.scale) return;
    if (calm.matches && now - this.drawnAt < 500) return;
    const passed = Math.min(0.2, (now - this.drawnAt) / 1000);
    this.drawnAt = now;
    const behind = this.written - this.shown;
    const lag = this.scale.pulse_frames * 2;
    if (calm.matches || behind > this.rate * 1.5) this.shown = this.written;
    else this.shown = Math.min(this.written, this.shown + passed * this.rate * (1 + (behind - lag) / this.rate * 2));
    const ratio = Math.min(2, devicePixelRatio || 1);
    const [width, height] = [Math.round(this.canvas.clientWidth * ratio), Math.round(this.canvas.clientHeight * ratio)];
    if (!width) return;
    if (this.canvas.width !== width || this.canvas.height !== height) [this.canvas.width, this.canvas.height] = [width, height];
    const paper = this.canvas.getContext("2d");
    paper.imageSmoothingQuality = "high";
    paper.fillStyle = "#08060f";
    paper.fillRect(0, 0, width, height);
    const begin = Math.max(0, this.shown - this.width);
    const scale = width / this.width;
    let [from, x] = [begin, (this.width - (this.shown - begin)) * scale];
    while (this.shown - from > 0.01) {
      const at = from % this.ring.width;
      const n = Math.min(this.ring.width - at, this.shown - from);
      paper.drawImage(this.ring, at, 0, n, this.ring.height, x, 0, n * scale, height);
      from += n;
      x += n * scale;
    }
  }
}

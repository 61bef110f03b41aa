// The sound of an event, and the listener's mark of it.

import { ask, byId, h, spoken, timeOfDay } from "./dom.js";

/** Plays the clip of `event`; `changed` is called when its mark has changed, or it is gone. */
export function play(event, about, changed) {
  byId("player").hidden = false;
  byId("player-title").textContent = `${spoken(event.label)}, ${timeOfDay(event.onset_ms)}`;
  const sound = byId("sound");
  sound.src = `/api/clips/${event.id}.flac`;
  // A browser that does not start by itself shows its play button.
  sound.play().catch(() => {});
  marking(event, about, changed);
}

/** Stops playing. */
export function stop() {
  byId("player").hidden = true;
  byId("sound").pause();
}

byId("player-close").addEventListener("click", stop);

function marking(event, about, changed, words = "") {
  const place = byId("marking");
  if (!about.writable) {
    place.replaceChildren(h("p", { className: "quiet" }, "To mark or delete clips, start the page with permission to write (web.write)."));
    return;
  }
  const said = h("span", { className: "quiet", role: "status" }, words);
  const send = async (path, wish, done, after) => {
    try {
      await ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ id: event.id, ...wish }) });
      after();
      changed();
      if (done) marking(event, about, changed, done);
    } catch (error) {
      said.textContent = error.message;
    }
  };
  const mark = (wish, done) => send("/api/clips/mark", { mark: wish }, done, () => { event.mark = wish; });
  const is = (pressed, words, work) => {
    const element = h("button", { type: "button", "aria-pressed": String(pressed) }, words);
    element.addEventListener("click", work);
    return element;
  };
  const isRight = event.mark === "right";
  const right = is(isRight, "Right", () => (isRight ? mark(null, "Mark removed.") : mark("right", "Marked as right.")));
  const names = about.labels.map((label) => label.label).filter((label) => label !== event.label && label !== "background").sort();
  const which = h("select", {}, h("option", { value: "background" }, "none of the labels"), names.map((name) => h("option", { value: name }, spoken(name))));
  if (event.mark?.wrong) which.value = event.mark.wrong;
  const wrong = is(Boolean(event.mark?.wrong), "Wrong, it was", () => mark({ wrong: which.value }, `Marked as ${which.selectedOptions[0].textContent}.`));
  which.setAttribute("aria-label", "What it was");
  const gone = h("button", { type: "button" }, "Delete");
  gone.addEventListener("click", () => send("/api/clips/delete", {}, null, stop));
  place.replaceChildren(h("div", { className: "row" }, right, wrong, which, gone, said));
}

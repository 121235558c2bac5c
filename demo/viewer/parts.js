// The parts of a drawing that can be taken away, as chips.

import { button, make, roving } from "../dom.js";

export const ALL = "drawing";
const WHOLE = { key: ALL, name: "drawing" };
const CHANGE = { key: "change", name: "last change" };

/** [{key, name, color}] of all that can be taken away from the drawing of a finished view. */
export function partsOf(view) {
  return [WHOLE, ...(view.changed ? [CHANGE] : []), ...(view.parts || [])];
}

/** "the drawing", "the water" */
export function nameOf(view, key) {
  return `the ${partsOf(view).find((part) => part.key === key)?.name ?? "drawing"}`;
}

/** The part that is shown where `key` was asked for: all of the drawing where it has no such part any more. */
export function partIn(view, key) {
  return partsOf(view).some((part) => part.key === key) ? key : ALL;
}

/** A row of chips, of which that of `pressed` is; `beside` stands at its end. */
export function chips(label, parts, pressed, choose, beside = null) {
  const row = make("div", { class: "chips", role: "group", "aria-label": label });
  for (const { key, name, color } of parts) {
    const swatch = color ? make("i", { class: "swatch", "--swatch": color }) : null;
    const press = () => {
      choose(key);
      row.isConnected || document.querySelector(`.mcm-viewer .chips [data-key="${key}"]`)?.focus();
    };
    const attributes = { class: "chip", "data-key": key, "aria-pressed": String(key === pressed) };
    row.append(button([swatch, make("span", { class: "name" }, name)].filter(Boolean), press, attributes));
  }
  roving(row)(row.querySelector("[aria-pressed=true]") ?? row.firstChild);
  const heading = make("span", { class: "label", "aria-hidden": "true" }, label);
  return make("div", { class: "labelled" }, heading, row, beside);
}

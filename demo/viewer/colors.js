// Heat: from nothing over violet and orange to pale yellow, more opaque the stronger.

import { make } from "../dom.js";

const STOPS = [
  [0, 45, 16, 84, 0],
  [0.15, 91, 26, 128, 110],
  [0.45, 205, 66, 84, 190],
  [0.75, 250, 141, 49, 220],
  [1, 252, 245, 170, 240],
];

/** 256 RGBA colours in one Uint8ClampedArray. */
const HEAT = (() => {
  const table = new Uint8ClampedArray(256 * 4);
  for (let level = 0; level < 256; level += 1) {
    const at = level / 255;
    const upper = Math.max(
      1,
      STOPS.findIndex(([stop]) => stop >= at),
    );
    const [from, to] = [STOPS[upper - 1], STOPS[upper]];
    const share = (at - from[0]) / (to[0] - from[0]);
    for (let part = 0; part < 4; part += 1)
      table[level * 4 + part] = from[part + 1] + share * (to[part + 1] - from[part + 1]);
  }
  return table;
})();

const OPAQUE = [...STOPS].map(([at, red, green, blue]) => `rgb(${red} ${green} ${blue}) ${100 * at}%`).join(", ");

/** The colours of heat with what its two ends mean. */
export function heatKey(least, most) {
  const bar = make("i", { class: "heat-bar", "--heat": `linear-gradient(90deg, ${OPAQUE})`, "aria-hidden": "true" });
  return make("span", { class: "tag heat-key" }, make("span", {}, least), bar, make("span", {}, most));
}

/** Paints levels (an array of width * height numbers in 0..255) on a canvas of that size. */
export function paintHeat(canvas, levels, width, height) {
  canvas.width = width;
  canvas.height = height;
  const pixels = new ImageData(width, height);
  levels.forEach((level, index) => {
    const from = Math.min(255, Math.round(level)) * 4;
    pixels.data.set(HEAT.subarray(from, from + 4), index * 4);
  });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

export function bytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

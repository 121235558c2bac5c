// What is seen of the drawing: two pixel layers on paper, the ring under the pointer, the keyboard's crosshair.

import { make } from "../dom.js";
import { LAYERS } from "./drawing.js";
import { pixelsOf, whole } from "./raster.js";

export const UNKNOWN_COLOR = "#9aa0a6";
export const INK = "#1d2126";

/** "#rrggbb" as a little-endian pixel of ImageData. */
function pixelOf(color) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

export class Stage {
  constructor(drawing) {
    this.drawing = drawing;
    this.colors = { labels: new Uint32Array(256), sketch: new Uint32Array(256) };
    this.colors.sketch[1] = pixelOf(INK);
    const canvas = (layer) => [layer, make("canvas", { class: layer, "aria-hidden": "true" })];
    this.canvases = Object.fromEntries(LAYERS.map(canvas));
    this.ring = make("div", { class: "ring" });
    this.cross = make("div", { class: "cross" });
    this.root = make(
      "div",
      {
        class: "stage",
        tabindex: "0",
        role: "application",
        "aria-roledescription": "drawing canvas",
        "aria-label":
          "Drawing. Arrow keys move the crosshair, with Shift further. Space draws. Control Enter generates.",
      },
      this.canvases.labels,
      this.canvases.sketch,
      make("div", { class: "hint", "aria-hidden": "true" }, "Draw here"),
      this.cross,
      this.ring,
      make("div", { class: "dropzone", "aria-hidden": "true" }, "Drop a picture"),
    );
    this.showRing(null);
    this.showCross(null);
    this.resize();
  }

  resize() {
    for (const layer of LAYERS) {
      this.canvases[layer].width = this.drawing.width;
      this.canvases[layer].height = this.drawing.height;
    }
    this.root.style.setProperty("--ratio", this.drawing.width / this.drawing.height);
  }

  setColors(classes) {
    this.colors.labels.fill(pixelOf(UNKNOWN_COLOR));
    this.colors.labels[0] = 0;
    classes.forEach(({ color }, index) => (this.colors.labels[index + 1] = pixelOf(color)));
  }

  /** Redraws a rectangle of a layer; null is nothing. */
  paint(layer, rect) {
    if (!rect) return;
    const image = new ImageData(rect.x1 - rect.x0, rect.y1 - rect.y0);
    const pixels = new Uint32Array(image.data.buffer);
    const { data } = this.drawing.grids[layer];
    const colors = this.colors[layer];
    let at = 0;
    for (const pixel of pixelsOf(rect, this.drawing.width)) pixels[at++] = colors[data[pixel]];
    this.canvases[layer].getContext("2d").putImageData(image, rect.x0, rect.y0);
  }

  paintAll() {
    for (const layer of LAYERS) this.paint(layer, whole(this.drawing));
  }

  /** The pixel of the drawing under a pointer event. */
  pointAt(event) {
    const box = this.root.getBoundingClientRect();
    return {
      x: Math.floor(((event.clientX - box.left) / box.width) * this.drawing.width),
      y: Math.floor(((event.clientY - box.top) / box.height) * this.drawing.height),
    };
  }

  /** The ring of `size` pixels around a point; size 0 hides it. */
  showRing(at, size, color) {
    const show = at && size > 0;
    this.ring.hidden = !show;
    if (!show) return;
    this.place(this.ring, at);
    this.ring.style.width = `${(100 * size) / this.drawing.width}%`;
    this.ring.style.setProperty("--ink", color);
  }

  showCross(at) {
    this.cross.hidden = !at;
    if (at) this.place(this.cross, at);
  }

  place(mark, at) {
    mark.style.left = `${(100 * (at.x + 0.5)) / this.drawing.width}%`;
    mark.style.top = `${(100 * (at.y + 0.5)) / this.drawing.height}%`;
  }

  /** A layer as a picture to keep: class colours on transparent paper, or dark strokes on white. */
  async picture(layer) {
    const source = this.canvases[layer];
    const copy = make("canvas", { width: source.width, height: source.height });
    const context = copy.getContext("2d");
    if (layer === "sketch") {
      context.fillStyle = "#fff";
      context.fillRect(0, 0, copy.width, copy.height);
    }
    context.drawImage(source, 0, 0);
    return new Promise((resolve) => copy.toBlob(resolve, "image/png"));
  }
}

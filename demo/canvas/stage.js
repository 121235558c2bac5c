// What is seen of the drawing: two pixel layers on paper, the ring under the pointer, the keyboard's crosshair.

import { make } from "../dom.js";
import { LAYERS } from "./drawing.js";
import { whole } from "./raster.js";
import { enlarge, REACH } from "./smoothing.js";
import { View } from "./view.js";

const FINE = 1024; // places along a side that a drawing is shown with, where it has fewer pixels
const MOST = 8; // places along a side of a pixel

const SPOKEN = "Drawing. Arrow keys move the crosshair, with Shift further. Space draws. Control Enter generates.";

export const UNKNOWN_COLOR = "#9aa0a6";
export const INK = "#1d2126";

/** "#rrggbb" as a little-endian pixel of ImageData. */
function pixelOf(color) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** Where an event is in a box, from 0 to 1. */
function shareOf(node, { clientX, clientY }) {
  const box = node.getBoundingClientRect();
  return { x: (clientX - box.left) / box.width, y: (clientY - box.top) / box.height };
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
    const marks = [this.canvases.labels, this.canvases.sketch, this.cross, this.ring];
    this.sheet = make("div", { class: "sheet" }, ...marks);
    this.view = new View((view) => this.showView(view));
    this.hint = make("div", { class: "hint", "aria-hidden": "true" });
    this.isUnderPointer = false; // of a mouse or a pen, where that was used last
    this.root = make(
      "div",
      {
        class: "stage",
        tabindex: "0",
        role: "application",
        "aria-roledescription": "drawing canvas",
        "aria-label": SPOKEN,
      },
      this.sheet,
      this.hint,
      make("div", { class: "dropzone", "aria-hidden": "true" }, "Drop a picture"),
    );
    this.showRing(null);
    this.showCross(null);
    this.resize();
  }

  resize() {
    const { width, height } = this.drawing;
    this.scale = Math.min(MOST, Math.max(1, Math.floor(FINE / Math.max(width, height))));
    for (const layer of LAYERS) {
      this.canvases[layer].width = width * this.scale;
      this.canvases[layer].height = height * this.scale;
    }
    this.root.style.setProperty("--ratio", this.drawing.width / this.drawing.height);
  }

  /** What is read where nothing is drawn; where nothing can be, it is all that there is to say. */
  setHint(text, takesNothing) {
    this.hint.textContent = text;
    this.root.setAttribute("aria-label", takesNothing ? text : SPOKEN);
  }

  setColors(classes) {
    this.colors.labels.fill(pixelOf(UNKNOWN_COLOR));
    this.colors.labels[0] = 0;
    classes.forEach(({ color }, index) => (this.colors.labels[index + 1] = pixelOf(color)));
  }

  /** Redraws a rectangle of a layer, and what it changes of its surroundings; null is nothing. */
  paint(layer, changed) {
    if (!changed) return;
    const { scale } = this;
    const { width, height } = this.drawing;
    const [x0, y0] = [changed.x0, changed.y0].map((edge) => Math.max(0, edge - REACH));
    const [x1, y1] = [Math.min(width, changed.x1 + REACH), Math.min(height, changed.y1 + REACH)];
    const pixels = enlarge(this.drawing.grids[layer], { x0, y0, x1, y1 }, scale, this.colors[layer]);
    const image = new ImageData(new Uint8ClampedArray(pixels.buffer), (x1 - x0) * scale);
    this.canvases[layer].getContext("2d").putImageData(image, x0 * scale, y0 * scale);
  }

  paintAll() {
    for (const layer of LAYERS) this.paint(layer, whole(this.drawing));
  }

  showView({ zoom, x, y, isZoomed }) {
    for (const [name, share] of Object.entries({ zoom, x, y })) this.root.style.setProperty(`--${name}`, share);
    this.root.classList.toggle("zoomed", isZoomed);
  }

  /** The pixel of the drawing under a pointer event. */
  pointAt(event) {
    const { x, y } = shareOf(this.sheet, event);
    return { x: Math.floor(x * this.drawing.width), y: Math.floor(y * this.drawing.height) };
  }

  /** Where an event is on the stage, in shares of its sides. */
  placeOf(event) {
    return shareOf(this.root, event);
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

  /** A layer as a picture to keep, pixel by pixel: class colours on transparent paper, or dark strokes on white. */
  async picture(layer) {
    const { width, height } = this.drawing;
    const [copy, plain] = [0, 1].map(() => make("canvas", { width, height }));
    const pixels = enlarge(this.drawing.grids[layer], whole(this.drawing), 1, this.colors[layer]);
    plain.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), width), 0, 0);
    const context = copy.getContext("2d");
    if (layer === "sketch") {
      context.fillStyle = "#fff";
      context.fillRect(0, 0, width, height);
    }
    context.drawImage(plain, 0, 0);
    return new Promise((resolve) => copy.toBlob(resolve, "image/png"));
  }
}

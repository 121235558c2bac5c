// What has been drawn: a grid of class ids ("labels"), a grid of strokes ("sketch"), and the steps that led there.

import { decodeRuns, encodeRuns, pixelsOf, resample, union, whole } from "./raster.js";

export const LAYERS = ["labels", "sketch"];
export const MAX_STEPS = 200;
const MAX_HISTORY_BYTES = 32 * 1024 * 1024;
export const MIN_SIDE = 8;
export const MAX_SIDE = 2048;

/**
 * A step is open()ed, edit()ed any number of times, perhaps rolled back() (a line under the moving pointer), and
 * close()d. History keeps, for each layer, the touched rectangle as "before XOR after": the same patch undoes and
 * redoes.
 */
export class Drawing {
  constructor(width, height) {
    this.grids = {};
    for (const layer of LAYERS) this.grids[layer] = { width, height, data: new Uint8Array(width * height) };
    this.unscaled = null; // {grids, done, undone} as it was drawn, while it is only seen at another size
    this.forget();
  }

  get width() {
    return this.grids.labels.width;
  }

  get height() {
    return this.grids.labels.height;
  }

  get canUndo() {
    return this.done.length > 0;
  }

  get canRedo() {
    return this.undone.length > 0;
  }

  isEmpty(layer) {
    return this.grids[layer].data.every((id) => id === 0);
  }

  everything() {
    return { labels: whole(this), sketch: whole(this) };
  }

  forget() {
    this.done = [];
    this.undone = [];
    this.before = null;
  }

  open() {
    this.before = {};
    this.dirty = {};
    for (const layer of LAYERS) this.before[layer] = this.grids[layer].data.slice();
  }

  /** draw: grid -> touched rectangle or null, which is also returned. */
  edit(layer, draw) {
    const rect = draw(this.grids[layer]);
    this.dirty[layer] = union(this.dirty[layer], rect);
    return rect;
  }

  /** Back to where open() was; the step stays open. Returns {layer: rectangle}. */
  rollback() {
    const touched = this.dirty;
    for (const layer of LAYERS) if (touched[layer]) this.grids[layer].data.set(this.before[layer]);
    this.dirty = {};
    return touched;
  }

  /** Ends the step; true if it changed a pixel. */
  close() {
    const patches = LAYERS.filter((layer) => this.dirty[layer]).map((layer) => this.patch(layer));
    this.before = null;
    if (!patches.some(({ bits }) => bits.some((bit) => bit !== 0))) return false;
    this.done.push({ patches, unscaled: this.unscaled });
    this.unscaled = null;
    this.undone = [];
    this.trim();
    return true;
  }

  /** Takes back a step: {layer: rectangle}, or null where there is none. */
  undo() {
    const step = this.done.at(-1);
    const touched = this.replay(this.done, this.undone);
    if (step) this.unscaled = step.unscaled;
    return touched;
  }

  redo() {
    if (this.canRedo) this.unscaled = null;
    return this.replay(this.undone, this.done);
  }

  replace(grids) {
    for (const layer of LAYERS) {
      this.edit(layer, (grid) => {
        grid.data.set(grids[layer].data);
        return whole(grid);
      });
    }
  }

  /** Another size: the drawing is scaled. There and back nothing is lost, what can be undone included. */
  resize(width, height) {
    const alone = ({ patches }) => ({ patches, unscaled: null }); // else older sizes would pile up behind them
    this.unscaled ??= { grids: { ...this.grids }, done: this.done.map(alone), undone: this.undone.map(alone) };
    const { grids, done, undone } = this.unscaled;
    for (const layer of LAYERS) this.grids[layer] = resample(grids[layer], width, height, layer === "sketch");
    this.forget();
    if (width !== grids.labels.width || height !== grids.labels.height) return;
    Object.assign(this, { grids: { ...grids }, done, undone, unscaled: null });
  }

  /** What is seen was drawn as these grids of another size; null: as it is. */
  drawnAs(grids) {
    this.unscaled = grids && { grids, done: [], undone: [] };
  }

  /** Other ids for the same classes, newIds[old id]: what was before is forgotten. */
  renumber(newIds) {
    for (const { labels } of [this.grids, this.unscaled?.grids ?? {}]) {
      labels?.data.forEach((id, pixel, data) => (data[pixel] = newIds[id] || 0));
    }
    if (this.unscaled) this.unscaled = { ...this.unscaled, done: [], undone: [] };
    this.forget();
  }

  patch(layer) {
    const rect = this.dirty[layer];
    const bits = new Uint8Array((rect.x1 - rect.x0) * (rect.y1 - rect.y0));
    let at = 0;
    for (const pixel of pixelsOf(rect, this.width)) {
      bits[at++] = this.grids[layer].data[pixel] ^ this.before[layer][pixel];
    }
    return { layer, rect, bits };
  }

  replay(from, to) {
    const step = from.pop();
    if (!step) return null;
    to.push(step);
    const touched = {};
    for (const { layer, rect, bits } of step.patches) {
      let at = 0;
      for (const pixel of pixelsOf(rect, this.width)) this.grids[layer].data[pixel] ^= bits[at++];
      touched[layer] = rect;
    }
    return touched;
  }

  trim() {
    const bytes = ({ patches }) => patches.reduce((sum, { bits }) => sum + bits.length, 0);
    let total = this.done.reduce((sum, step) => sum + bytes(step), 0);
    while (this.done.length > MAX_STEPS || (total > MAX_HISTORY_BYTES && this.done.length > 1)) {
      total -= bytes(this.done.shift());
    }
  }
}

/** The canvas value as Python knows it. */
export function toValue({ grids: { labels, sketch } }, revision) {
  const { width, height } = labels;
  return { version: 1, width, height, labels: encodeRuns(labels.data), sketch: encodeRuns(sketch.data), revision };
}

/** {labels: grid, sketch: grid} of a canvas value, or null where it is damaged. */
export function fromValue(value, lastClass) {
  if (!value || typeof value !== "object" || value.version !== 1) return null;
  const { width, height } = value;
  const fits = (side) => Number.isInteger(side) && side >= MIN_SIDE && side <= MAX_SIDE;
  if (!fits(width) || !fits(height)) return null;
  const labels = decodeRuns(value.labels, width * height, lastClass);
  const sketch = decodeRuns(value.sketch, width * height, 1);
  if (!labels || !sketch) return null;
  return { labels: { width, height, data: labels }, sketch: { width, height, data: sketch } };
}

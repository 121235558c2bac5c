// Puts the parts together and speaks with Gradio.

import { latestChange, nextChange } from "../changes.js";
import { make } from "../dom.js";
import { put, take } from "../storage.js";
import { firstTool } from "./actions.js";
import { Drawing, fromValue, LAYERS, MAX_SIDE, MIN_SIDE, toValue } from "./drawing.js";
import { Editor } from "./editor.js";
import { listenToArrows, listenToFiles, listenToKeys } from "./input.js";
import { Panel } from "./panel.js";
import { listenToGrip, listenToPointers, listenToWheel } from "./pointers.js";
import { resample } from "./raster.js";
import { INK, Stage, UNKNOWN_COLOR } from "./stage.js";

const MOVING_MS = 60;
const PATIENCE_MS = 2000; // then a draft is taken for lost
const AT_ONCE = 2; // drafts under way

/** Classes as Python sent them, made harmless: a list of {name, color "#rrggbb"}. */
function readClasses(classes) {
  return Array.from(classes || [])
    .slice(0, 255)
    .map((known) => ({
      name: String(known?.name ?? "?"),
      color: /^#[0-9a-f]{6}$/i.test(known?.color) ? known.color : UNKNOWN_COLOR,
    }));
}

function readSide(side, fallback) {
  return Number.isInteger(side) && side >= MIN_SIDE && side <= MAX_SIDE ? side : fallback;
}

/** newIds[id of a class in `before`] = id of the class of that name in `after`, or 0. */
function sameNames(before, after) {
  return [0, ...before.map(({ name }) => after.findIndex((known) => known.name === name) + 1)];
}

/** The drawing in the browser's storage, so that it outlives a reload; `key` null keeps nothing. */
class Shelf {
  constructor(key) {
    this.key = key ? `canvas:${key}` : null;
  }

  /** `unscaled` is the value of the size that it was drawn at, where it is only seen at another. */
  put(value, classes, unscaled) {
    if (this.key) put(this.key, { value, names: classes.map(({ name }) => name), unscaled });
  }

  /** {value, names, unscaled} or null. */
  take() {
    const kept = this.key ? take(this.key) : null;
    return Array.isArray(kept?.names) ? kept : null;
  }
}

/**
 * Its root says `data-state="ready"` once it can be drawn on, with `data-revision` which drawing it shows, and with
 * `data-size` (as "256x192") of how many pixels.
 */
class Canvas {
  /** gradio: {props, trigger(event, data), upload(file)} */
  constructor(root, gradio) {
    const { props } = gradio;
    this.root = root;
    this.gradio = gradio;
    this.revision = 0;
    this.visible = {};
    this.moved = { at: -Infinity, turn: null, flying: 0 };
    this.isAhead = false; // Python was sent more than the drawing's last step
    this.shelf = new Shelf(props.storage_key);
    this.drawing = new Drawing(readSide(props.width, 256), readSide(props.height, 256));
    this.saySize();
    this.stage = new Stage(this.drawing);
    this.editor = new Editor(this.drawing, this.stage.view, {
      paint: (layer, rect) => this.paint(layer, rect),
      step: () => this.publish(),
      state: () => this.refresh(),
      say: (text) => this.panel.say(text),
      generate: () => gradio.trigger("generate"),
      taken: () => this.takeBack(),
      help: () => this.panel.openKeys(),
    });
    this.panel = new Panel(this.editor, {
      show: (layer, isVisible) => this.show(layer, isVisible),
      opacity: (percent) => this.stage.root.style.setProperty("--opacity", percent / 100),
      download: (layer) => this.download(layer),
    });
    for (const layer of LAYERS) this.show(layer, true);
    this.stage.root.append(this.panel.wholeView);
    const work = make("div", { class: "work" }, this.stage.root, this.panel.legend);
    root.replaceChildren(this.panel.toolbar, work, this.panel.options, this.panel.status);
    this.listen();
  }

  listen() {
    const say = (text) => this.panel.say(text);
    listenToGrip(this.stage);
    listenToWheel(this.stage);
    listenToPointers(this.stage, this.editor, (at) => this.hover(at));
    listenToArrows(this.stage, this.editor, (at) => this.aim(at), say);
    listenToKeys(this.root, this.editor, () => this.panel.classes);
    listenToFiles(this.stage, (file) => this.drop(file));
  }

  // -- what is seen -----------------------------------------------------------------------------------------

  paint(layer, rect) {
    this.stage.paint(layer, rect);
    if (!rect || !this.editor.stroke) return;
    this.root.classList.add("drawn");
    if (!this.visible[layer]) this.show(layer, true);
    this.move();
  }

  refresh() {
    const isDrawn = this.editor.stroke || LAYERS.some((layer) => !this.drawing.isEmpty(layer));
    this.root.classList.toggle("drawn", Boolean(isDrawn));
    this.panel.refresh();
    this.hover(this.aimedAt || this.hoveredAt);
  }

  show(layer, isVisible) {
    this.visible[layer] = isVisible;
    this.stage.canvases[layer].hidden = !isVisible;
    this.panel.refreshEye(layer, isVisible);
  }

  hover(at) {
    this.hoveredAt = at;
    const { tool, ink, classes, size } = this.editor;
    const colors = { sketch: INK, labels: classes[ink - 1]?.color };
    this.stage.showRing(at, tool.size ? size : 0, (ink && colors[tool.layer]) || "#fff");
  }

  aim(at) {
    this.aimedAt = at;
    this.stage.showCross(at);
    this.hover(at);
  }

  // -- to Python --------------------------------------------------------------------------------------------

  publish(about = {}) {
    this.isAhead = false;
    this.gradio.props.value = this.keep(nextChange(this.revision));
    this.gradio.trigger("stroke", { revision: this.revision, ...about });
  }

  /**
   * While the brush moves, for those who want to follow it: the drawing so far. One is painted while the next is on its
   * way; another is sent when one was answered.
   */
  move() {
    if (!this.gradio.props.sends_moves) return;
    const { turn } = document.body.dataset;
    const waited = performance.now() - this.moved.at;
    const flying = Math.max(0, this.moved.flying - (turn === this.moved.turn ? 0 : 1));
    if (waited < (flying < AT_ONCE ? MOVING_MS : PATIENCE_MS)) return;
    this.moved = { at: performance.now(), turn, flying: Math.min(flying + 1, AT_ONCE) };
    this.isAhead = true;
    this.gradio.props.value = toValue(this.drawing, this.revision);
    this.gradio.trigger("moving", { revision: Math.max(this.revision, latestChange()) });
  }

  /** A stroke was taken back, or changed nothing: Python must know what is seen, and paint that. */
  takeBack() {
    if (this.isAhead) this.publish();
  }

  /** Gives the drawing a number and keeps it; the canvas value. */
  keep(revision) {
    const value = toValue(this.drawing, revision);
    const { unscaled } = this.drawing;
    this.shelf.put(value, this.editor.classes, unscaled && toValue(unscaled, 0));
    this.revision = this.root.dataset.revision = revision;
    return value;
  }

  async drop(file) {
    if (!file) {
      this.panel.warn("Only pictures can be loaded: PNG, JPEG, WebP and the like");
      return;
    }
    try {
      this.panel.say(`Loading ${file.name}`);
      const { path } = await this.gradio.upload(file);
      this.gradio.trigger("dropped", { path, name: file.name });
    } catch {
      this.panel.warn(`${file.name} could not be loaded. Try again`);
    }
  }

  async download(layer) {
    const blob = await this.stage.picture(layer);
    const url = URL.createObjectURL(blob);
    make("a", { href: url, download: layer === "labels" ? "drawing.png" : "sketch.png" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  // -- from Python ------------------------------------------------------------------------------------------

  start() {
    const { props } = this.gradio;
    const kept = props.value ? null : this.shelf.take();
    if (kept) {
      const { width, height } = kept.value ?? {};
      this.setClasses(readClasses(kept.names.map((name) => ({ name }))));
      this.setSize(readSide(width, this.drawing.width), readSide(height, this.drawing.height));
      this.load(kept.value);
      this.drawing.forget();
      this.drawing.drawnAs(fromValue(kept.unscaled, this.editor.classes.length));
    }
    this.adopt();
    if (props.value) this.load(props.value);
    this.drawing.forget();
    this.settle({ returned: true });
    this.panel.say("");
    this.root.dataset.state = "ready";
  }

  /** Takes over what Python changed. A drawing keeps its classes by name when the legend changes. */
  sync() {
    const { value } = this.gradio.props;
    const { width, height } = this.drawing;
    const isNew = !this.isShown(value);
    this.adopt();
    if (isNew) this.load(value);
    const isOnlyScaled = !isNew && (width !== this.drawing.width || height !== this.drawing.height);
    this.settle(isOnlyScaled ? { returned: true } : {});
  }

  adopt() {
    const { props } = this.gradio;
    this.setLayers(Array.from(props.layers || LAYERS), String(props.hint ?? ""));
    this.setClasses(readClasses(props.classes));
    this.setSize(readSide(props.width, this.drawing.width), readSide(props.height, this.drawing.height));
  }

  /** Python must know what is seen, also where that is not quite what it sent. */
  settle(about) {
    this.refresh();
    if (!this.isShown(this.gradio.props.value)) this.publish(about);
  }

  setLayers(layers, hint) {
    this.editor.layers = LAYERS.filter((layer) => layers.includes(layer));
    const takesNothing = !this.editor.layers.length;
    this.root.classList.toggle("takes-nothing", takesNothing);
    this.stage.setHint(hint, takesNothing);
    if (this.editor.layers.includes(this.editor.tool.layer)) return;
    this.editor.choose(firstTool(this.editor.layers[0] ?? "labels"));
  }

  setClasses(classes) {
    const before = this.editor.classes;
    if (JSON.stringify(before) === JSON.stringify(classes)) return;
    const newIds = sameNames(before, classes);
    this.editor.cancel();
    if (newIds.some((id, index) => id !== index)) this.drawing.renumber(newIds);
    this.editor.classes = classes;
    this.editor.classId = newIds[this.editor.classId] || 1;
    this.stage.setColors(classes);
    this.stage.paintAll();
    this.panel.setClasses(classes);
  }

  setSize(width, height) {
    if (width === this.drawing.width && height === this.drawing.height) return;
    this.editor.cancel();
    this.drawing.resize(width, height);
    this.stage.resize();
    this.stage.paintAll();
    this.saySize();
  }

  saySize() {
    this.root.dataset.size = `${this.drawing.width}x${this.drawing.height}`;
  }

  /** Shows a canvas value as one step that can be undone; null is an empty drawing, a damaged one is left out. */
  load(value) {
    const { width, height } = this.drawing;
    const empty = { version: 1, width, height, labels: "", sketch: "" };
    const grids = fromValue(value || empty, this.editor.classes.length);
    if (!grids) {
      this.panel.say("That drawing is damaged");
      return;
    }
    this.editor.load({
      labels: resample(grids.labels, width, height, false),
      sketch: resample(grids.sketch, width, height, true),
    });
    this.keep(Math.max(this.revision, Number(value?.revision) || 0));
  }

  /** Does a value say what is on the canvas? */
  isShown(value) {
    const shown = toValue(this.drawing, 0);
    if (!value) return !shown.labels && !shown.sketch;
    return ["width", "height", "labels", "sketch"].every((name) => value[name] === shown[name]);
  }
}

export function mount({ element, trigger, props, upload, watch }) {
  const canvas = new Canvas(element.querySelector(".mcm-canvas"), { trigger, props, upload });
  watch(["value", "classes", "layers", "hint", "width", "height"], () => canvas.sync());
  canvas.start();
}

// From points (wherever they come from: mouse, finger, pen or arrow keys) to steps of the drawing.

import { eraserOf, firstTool, SIZES } from "./actions.js";
import { LAYERS } from "./drawing.js";
import { drawBox, mirrorRows, union } from "./raster.js";

const odd = (size) => 2 * Math.floor(size / 2) + 1;

export class Editor {
  /**
   * on.paint(layer, rectangle): pixels changed.  on.step(): a step has ended.  on.state(): tool, class, size or
   * history changed.  on.say(text): for the ears.  on.generate(): a picture is wanted.  on.taken(): a stroke that was
   * under way was taken back, or changed nothing.  on.help(): the keys are wanted.
   */
  constructor(drawing, view, on) {
    this.drawing = drawing;
    this.view = view;
    this.on = on;
    this.classes = [];
    this.layers = LAYERS;
    this.tool = this.painter = firstTool("labels");
    this.classId = 1;
    this.sizes = Object.fromEntries(Object.entries(SIZES).map(([name, { first }]) => [name, first]));
    this.stroke = null;
  }

  get size() {
    return this.sizes[this.tool.size] || 1;
  }

  get ink() {
    return this.inkOf(this.tool);
  }

  inkOf(tool) {
    if (tool.erases) return 0;
    return tool.layer === "sketch" ? 1 : this.classId;
  }

  // -- choosing ---------------------------------------------------------------------------------------------

  choose(tool) {
    if (!this.layers.includes(tool.layer)) return;
    this.end();
    this.tool = tool;
    if (tool.layer === "labels" && !tool.erases && !tool.picks) this.painter = tool;
    this.on.say(tool.name);
    this.on.state();
  }

  chooseClass(id) {
    if (!this.classes[id - 1] || !this.layers.includes("labels")) return;
    this.end();
    this.classId = id;
    if (this.tool.layer !== "labels" || this.tool.erases || this.tool.picks) this.tool = this.painter;
    this.on.say(`${this.classes[id - 1].name} selected`);
    this.on.state();
  }

  /** Takes up the class at a point. */
  pick(at) {
    const { width, height, grids } = this.drawing;
    const isInside = at.x >= 0 && at.y >= 0 && at.x < width && at.y < height;
    const id = isInside ? grids.labels.data[at.y * width + at.x] : 0;
    if (this.classes[id - 1]) this.chooseClass(id);
    else this.on.say("Nothing is painted there");
  }

  resizeTool(size) {
    const kind = this.tool.size;
    if (!kind) return;
    this.sizes[kind] = odd(Math.min(SIZES[kind].largest, Math.max(1, size)));
    this.on.say(`Size ${this.size}`);
    this.on.state();
  }

  /** One notch larger (+1) or smaller (-1): finer where the tool is small. */
  nudgeSize(direction) {
    this.resizeTool(this.size + direction * (this.size + direction > 15 ? 4 : 2));
  }

  // -- drawing ----------------------------------------------------------------------------------------------

  /** `scale` multiplies the size of a pen, for pens that feel pressure; with `erases`, it is turned round. */
  begin(at, { scale = 1, erases = false } = {}) {
    this.cancel();
    const tool = erases ? eraserOf(this.tool.layer) : this.tool;
    if (!this.layers.includes(tool.layer)) return;
    if (tool.picks) {
      this.pick(at);
      return;
    }
    this.drawing.open();
    this.stroke = { tool, from: at, last: at, path: [], sketch: this.drawing.grids.sketch };
    this.extend(at, scale);
    if (tool.once) this.end();
  }

  /** `isLatest`: no more is known of where the hand went; only then is it shown. */
  extend(to, scale = 1, isLatest = true) {
    if (!this.stroke) return;
    const { tool, path } = this.stroke;
    path.push(to);
    if (tool.follows && !isLatest) return;
    const size = this.sizes[tool.size] || 1;
    const stroke = { ...this.stroke, to, ink: this.inkOf(tool), size: tool.size === "pen" ? odd(size * scale) : size };
    const before = tool.follows ? this.drawing.rollback()[tool.layer] : this.stroke.unseen;
    const drawn = this.drawing.edit(tool.layer, (grid) => tool.draw(grid, stroke));
    this.stroke.last = to;
    this.stroke.unseen = union(before, drawn);
    if (!isLatest) return;
    this.on.paint(tool.layer, this.stroke.unseen);
    this.stroke.unseen = null;
  }

  end() {
    if (!this.stroke) return;
    this.stroke = null;
    if (this.drawing.close()) this.on.step();
    else this.on.taken();
    this.on.state();
  }

  cancel() {
    if (!this.stroke) return;
    this.stroke = null;
    this.paintAll(this.drawing.rollback());
    this.drawing.close();
    this.on.taken();
    this.on.state();
  }

  paintAll(touched) {
    for (const layer of LAYERS) this.on.paint(layer, touched[layer]);
  }

  // -- whole drawing ----------------------------------------------------------------------------------------

  undo() {
    this.replay("undo", "Undo");
  }

  redo() {
    this.replay("redo", "Redo");
  }

  replay(move, name) {
    this.cancel();
    const touched = this.drawing[move]();
    this.on.say(touched ? name : `Nothing to ${move}`);
    if (!touched) return;
    this.paintAll(touched);
    this.on.step();
    this.on.state();
  }

  clear() {
    this.change("Cleared", (grid) => drawBox(grid, { x: 0, y: 0 }, { x: grid.width, y: grid.height }, 0));
  }

  mirror() {
    this.change("Mirrored", mirrorRows);
  }

  change(what, draw) {
    this.on.say(what);
    if (this.rewrite(() => LAYERS.forEach((layer) => this.drawing.edit(layer, draw)))) this.on.step();
  }

  /** Shows grids that come from elsewhere, as one step that can be undone; says nothing to on.step. */
  load(grids) {
    this.rewrite(() => this.drawing.replace(grids));
  }

  /** Changes the whole drawing in one step; true if a pixel changed. */
  rewrite(edit) {
    this.cancel();
    this.drawing.open();
    edit();
    const changed = this.drawing.close();
    this.paintAll(this.drawing.everything());
    this.on.state();
    return changed;
  }

  generate() {
    this.end();
    this.on.generate();
  }

  /** Another view of the drawing: change(view). */
  look(change) {
    change(this.view);
    this.on.say(`${Math.round(100 * this.view.zoom)}%`);
    this.on.state();
  }

  help() {
    this.on.help();
  }
}

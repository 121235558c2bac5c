// The tools: from points (wherever they come from: mouse, finger, pen or arrow keys) to steps of the drawing.

const TOOLS = {
  brush: { name: "Brush", key: "B", layer: "labels", shape: "stroke", size: "brush" },
  fill: { name: "Fill", key: "F", layer: "labels", shape: "fill" },
  line: { name: "Line", key: "L", layer: "labels", shape: "line", size: "brush" },
  rectangle: { name: "Rectangle", key: "R", layer: "labels", shape: "box" },
  eraser: { name: "Eraser", key: "E", layer: "labels", shape: "stroke", size: "eraser", erases: true },
  pen: { name: "Pen", key: "P", layer: "sketch", shape: "stroke", size: "pen" },
  rubber: { name: "Sketch eraser", key: "E", layer: "sketch", shape: "stroke", size: "rubber", erases: true },
};
const LARGEST = { brush: 63, eraser: 63, pen: 15, rubber: 63 };

const odd = (size) => 2 * Math.floor(size / 2) + 1;

/**
 * on.paint(layer, rectangle): pixels changed.  on.step(): a step has ended.  on.state(): tool, class, size or
 * history changed.  on.say(text): for the ears.
 */
class Editor {
  constructor(drawing, on) {
    this.drawing = drawing;
    this.on = on;
    this.classes = [];
    this.layers = LAYERS;
    this.tool = "brush";
    this.classId = 1;
    this.sizes = { brush: 23, eraser: 31, pen: 3, rubber: 15 };
    this.stroke = null;
  }

  get settings() {
    return TOOLS[this.tool];
  }

  get size() {
    return this.sizes[this.settings.size] || 1;
  }

  get ink() {
    if (this.settings.erases) return 0;
    return this.settings.layer === "sketch" ? 1 : this.classId;
  }

  // -- choosing ---------------------------------------------------------------------------------------------

  choose(tool) {
    if (!this.layers.includes(TOOLS[tool].layer)) return;
    this.end();
    this.tool = tool;
    this.on.say(this.settings.name);
    this.on.state();
  }

  chooseEraser() {
    this.choose(this.settings.layer === "sketch" ? "rubber" : "eraser");
  }

  chooseClass(id) {
    if (!this.classes[id - 1] || !this.layers.includes("labels")) return;
    this.end();
    this.classId = id;
    if (this.settings.layer !== "labels" || this.settings.erases) this.tool = "brush";
    this.on.say(`${this.classes[id - 1].name} selected`);
    this.on.state();
  }

  resizeTool(size) {
    const kind = this.settings.size;
    if (!kind) return;
    this.sizes[kind] = odd(Math.min(LARGEST[kind], Math.max(1, size)));
    this.on.say(`Size ${this.size}`);
    this.on.state();
  }

  /** One notch larger (+1) or smaller (-1): finer where the tool is small. */
  nudgeSize(direction) {
    this.resizeTool(this.size + direction * (this.size + direction > 15 ? 4 : 2));
  }

  // -- drawing ----------------------------------------------------------------------------------------------

  /** `scale` multiplies the size of a pen, for pens that feel pressure. */
  begin(at, scale = 1) {
    this.cancel();
    if (!this.layers.includes(this.settings.layer)) return;
    this.drawing.open();
    this.stroke = { from: at, last: at };
    if (this.settings.shape === "fill") {
      this.edit((grid) => floodFill(grid, at, this.ink));
      this.end();
    } else {
      this.extend(at, scale);
    }
  }

  extend(to, scale = 1) {
    if (!this.stroke) return;
    const { from, last } = this.stroke;
    const size = this.settings.size === "pen" ? odd(this.size * scale) : this.size;
    if (this.settings.shape === "stroke") {
      this.edit((grid) => drawSegment(grid, last, to, size, this.ink));
    } else {
      this.paintAll(this.drawing.rollback());
      if (this.settings.shape === "line") this.edit((grid) => drawSegment(grid, from, to, size, this.ink));
      else this.edit((grid) => drawBox(grid, from, to, this.ink));
    }
    this.stroke.last = to;
  }

  end() {
    if (!this.stroke) return;
    this.stroke = null;
    if (this.drawing.close()) this.on.step();
    this.on.state();
  }

  cancel() {
    if (!this.stroke) return;
    this.stroke = null;
    this.paintAll(this.drawing.rollback());
    this.drawing.close();
    this.on.state();
  }

  edit(draw) {
    this.on.paint(this.settings.layer, this.drawing.edit(this.settings.layer, draw));
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

  /** Shows grids that come from elsewhere, as one step that can be undone; says nothing to on.step. */
  load(grids) {
    this.cancel();
    this.drawing.open();
    this.drawing.replace(grids);
    this.drawing.close();
    this.paintAll(this.drawing.everything());
    this.on.state();
  }

  change(what, draw) {
    this.cancel();
    this.drawing.open();
    for (const layer of LAYERS) this.drawing.edit(layer, draw);
    const changed = this.drawing.close();
    this.paintAll(this.drawing.everything());
    this.on.say(what);
    if (changed) this.on.step();
    this.on.state();
  }
}

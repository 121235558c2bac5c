// What a person can do to a drawing: name, keys, icon and effect in one object. Toolbar, legend and keyboard read these.

import { fillRegion } from "./fill.js";
import { drawBox, drawEllipse, drawPolygon, drawSegment } from "./raster.js";

/**
 * @typedef {object} Action
 * @property {string} name What a button says.
 * @property {string} [keys] "B", "Shift+1", "Ctrl+Z"; several are parted by a space.
 * @property {string} [icon] A path on a grid of 24 x 24.
 * @property {"labels" | "sketch"} [layer] What it works on, where that is one layer.
 * @property {(editor: import("./editor.js").Editor) => void} run
 * @property {(editor: import("./editor.js").Editor) => boolean} [isOn]
 * @property {(editor: import("./editor.js").Editor) => boolean} [isPossible]
 *
 * @typedef {object} Effect What makes an action a tool.
 * @property {(grid: import("./raster.js").Grid, stroke: Stroke) => import("./raster.js").Rect | null} [draw]
 * @property {keyof SIZES} [size] Tools that share a size have the same name here.
 * @property {boolean} [erases]
 * @property {boolean} [follows] Drawn anew from where it began, until it ends: a shape.
 * @property {boolean} [once] Ends where it begins.
 * @property {boolean} [picks] Draws nothing, but takes up the class that is met.
 *
 * @typedef {object} Stroke `path` begins at `from` and ends at `to`; before `to` came `last`.
 * @property {import("./raster.js").Point} from
 * @property {import("./raster.js").Point} last
 * @property {import("./raster.js").Point} to
 * @property {import("./raster.js").Point[]} path
 * @property {number} size
 * @property {number} ink
 * @property {import("./raster.js").Grid} sketch
 */

/** In pixels of the drawing, always odd: at first, and at most. */
export const SIZES = {
  brush: { first: 23, largest: 63 },
  eraser: { first: 31, largest: 63 },
  pen: { first: 3, largest: 15 },
  rubber: { first: 15, largest: 63 },
};

const ZOOM_STEP = 1.25;

const stroke = (grid, { last, to, size, ink }) => drawSegment(grid, last, to, size, ink);
const line = (grid, { from, to, size, ink }) => drawSegment(grid, from, to, size, ink);
const box = (grid, { from, to, ink }) => drawBox(grid, from, to, ink);
const ellipse = (grid, { from, to, ink }) => drawEllipse(grid, from, to, ink);
const lasso = (grid, { path, ink }) => drawPolygon(grid, path, ink);
const region = (grid, { to, ink, sketch }) => fillRegion(grid, to, ink, sketch);

const BRUSH =
  "M4 20c3.2.9 6.3-.2 6.3-3a2.6 2.6 0 0 0-2.6-2.6C4.9 14.4 5.6 18 4 20zM10 14.3 18.7 4.7a1.8 1.8 0 0 1 2.6 2.5L12.4 16.5";
const FILL =
  "M11.5 4.5 4.6 11.4a1.5 1.5 0 0 0 0 2.1l5 5a1.5 1.5 0 0 0 2.1 0L18.5 11.5zM9 2l5 5M4.5 12.5h13M20.5 15.5s1.7 2.1 1.7 3.3a1.7 1.7 0 0 1-3.4 0c0-1.2 1.7-3.3 1.7-3.3z";
const LINE =
  "M7.2 16.8 16.8 7.2M4 18.5a1.8 1.8 0 1 0 3.6 0a1.8 1.8 0 1 0-3.6 0M16.4 5.5a1.8 1.8 0 1 0 3.6 0a1.8 1.8 0 1 0-3.6 0";
const RECTANGLE =
  "M5.5 6h13A1.5 1.5 0 0 1 20 7.5v9a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 4 16.5v-9A1.5 1.5 0 0 1 5.5 6z";
const ELLIPSE = "M3.5 12a8.5 6.5 0 1 0 17 0a8.5 6.5 0 1 0-17 0";
const LASSO =
  "M7.6 16.2C5 15.2 3.5 13.2 3.5 11c0-3.6 3.8-6.5 8.5-6.5s8.5 2.9 8.5 6.5-3.8 6.5-8.5 6.5c-.8 0-1.6-.1-2.4-.3M5.8 17.7a1.9 1.9 0 1 0 3.8 0a1.9 1.9 0 1 0-3.8 0M7.7 19.6c0 .9-.4 1.6-1.2 2.1";
const PICK =
  "M13.5 6.5 17.5 10.5M16.8 9.8l2.7-2.7a2.1 2.1 0 0 0 0-2.6 2.1 2.1 0 0 0-2.9.1l-2.5 2.6M15 8 5.7 17.3 4.5 19.5l2.2-1.2L16 9";
const ERASER =
  "M9 20h11M14.8 4.7l4.5 4.5a1.7 1.7 0 0 1 0 2.4L11 20H8l-3.8-3.8a1.7 1.7 0 0 1 0-2.4l8.2-9.1a1.7 1.7 0 0 1 2.4 0zM8.2 9.4l6.9 6.9";
const PEN = "M4 20l1.1-4.6L16.3 4.2a2.2 2.2 0 0 1 3.2 0l.3.3a2.2 2.2 0 0 1 0 3.2L8.6 18.9zM14.2 6.3l3.5 3.5";

/** @returns {Action & Effect} */
function tool(name, keys, layer, icon, effect) {
  const action = {
    name,
    keys,
    layer,
    icon,
    ...effect,
    run: (editor) => editor.choose(action),
    isOn: (editor) => editor.tool === action,
    isPossible: (editor) => editor.layers.includes(layer),
  };
  return action;
}

export const TOOLS = [
  tool("Brush", "B", "labels", BRUSH, { draw: stroke, size: "brush" }),
  tool("Fill", "F", "labels", FILL, { draw: region, once: true }),
  tool("Line", "L", "labels", LINE, { draw: line, size: "brush", follows: true }),
  tool("Rectangle", "R", "labels", RECTANGLE, { draw: box, follows: true }),
  tool("Ellipse", "O", "labels", ELLIPSE, { draw: ellipse, follows: true }),
  tool("Lasso", "A", "labels", LASSO, { draw: lasso, follows: true }),
  tool("Pick class", "I", "labels", PICK, { picks: true, once: true }),
  tool("Eraser", "E", "labels", ERASER, { draw: stroke, size: "eraser", erases: true }),
  tool("Pen", "P", "sketch", PEN, { draw: stroke, size: "pen" }),
  tool("Sketch eraser", "E", "sketch", ERASER, { draw: stroke, size: "rubber", erases: true }),
];

/** The first tool of a layer, to begin with. */
export const firstTool = (layer) => TOOLS.find((action) => action.layer === layer);

/** What the other end of a pen does on a layer. */
export const eraserOf = (layer) => TOOLS.find((action) => action.layer === layer && action.erases);

/** @type {Action[]} */
export const HISTORY = [
  {
    name: "Undo",
    keys: "Ctrl+Z",
    icon: "M5 9h9.5a5 5 0 0 1 0 10H9M5 9l4-4M5 9l4 4",
    run: (editor) => editor.undo(),
    isPossible: (editor) => editor.drawing.canUndo,
  },
  {
    name: "Redo",
    keys: "Ctrl+Shift+Z Ctrl+Y",
    icon: "M19 9H9.5a5 5 0 0 0 0 10H15M19 9l-4-4M19 9l-4 4",
    run: (editor) => editor.redo(),
    isPossible: (editor) => editor.drawing.canRedo,
  },
];

/** @type {Action[]} */
export const WHOLE = [
  {
    name: "Mirror",
    icon: "M12 3.5v17M9 7.5 3.5 17H9zM15 7.5 20.5 17H15z",
    run: (editor) => editor.mirror(),
  },
  {
    name: "Clear all",
    icon: "M5 7h14M9.5 7V4.5h5V7M7 7l.8 12.5h8.4L17 7M10.4 10.5v5.5M13.6 10.5v5.5",
    run: (editor) => editor.clear(),
  },
];

/** Back to the whole drawing. @type {Action} */
export const WHOLE_VIEW = {
  name: "Zoom to 100%",
  keys: "Z",
  run: (editor) => editor.look((view) => view.reset()),
};

/** @type {Action[]} */
const BY_KEY_ALONE = [
  { name: "Smaller", keys: "[", run: (editor) => editor.nudgeSize(-1) },
  { name: "Larger", keys: "]", run: (editor) => editor.nudgeSize(1) },
  { name: "Zoom in", keys: "+ Shift++ =", run: (editor) => editor.look((view) => view.zoomBy(ZOOM_STEP)) },
  { name: "Zoom out", keys: "-", run: (editor) => editor.look((view) => view.zoomBy(1 / ZOOM_STEP)) },
  WHOLE_VIEW,
  { name: "Generate", keys: "Ctrl+Enter", run: (editor) => editor.generate() },
  { name: "These keys", keys: "? Shift+?", run: (editor) => editor.help() },
];

/** What hands do beside the keys. */
const GESTURES = [
  ["Alt+click", "Pick class"],
  ["Space+drag", "Move the view"],
  ["Ctrl+wheel", "Zoom"],
  ["Two fingers", "Zoom and move"],
  ["Esc", "Take a shape back"],
];

/** The key of a class: 1 to 9, 0 for the tenth, then the same with Shift; none beyond the twentieth. */
const classKey = (id) => (id > 20 ? null : (id > 10 ? "Shift+" : "") + (id % 10));

/** To choose each of the classes. @returns {(Action & {color: string})[]} */
export function classActions(classes) {
  return classes.map(({ name, color }, index) => ({
    name,
    color,
    keys: classKey(index + 1),
    layer: "labels",
    run: (editor) => editor.chooseClass(index + 1),
    isOn: (editor) => editor.tool.layer === "labels" && editor.ink === index + 1,
    isPossible: (editor) => editor.layers.includes("labels"),
  }));
}

/** [keys, what they do] of all that has a key, for people. */
export function keyList(classes) {
  const shown = ({ keys, name }) => [keys.split(" ")[0], name];
  const keyed = classes.filter(({ keys }) => keys);
  const range = keyed.length ? [[`${keyed[0].keys} to ${keyed.at(-1).keys}`, "Classes"]] : [];
  return [...TOOLS.map(shown), ...range, ...HISTORY.map(shown), ...BY_KEY_ALONE.map(shown), ...GESTURES];
}

/**
 * What a key event may mean, the likeliest first, as `keys` has it. By its place ("KeyB") a key is known where its letter
 * is of another alphabet (Cyrillic, Greek, an input method), and a digit always, as some layouts have digits under Shift.
 */
function meanings({ key, code, ctrlKey, metaKey, shiftKey }) {
  const held = (ctrlKey || metaKey ? "Ctrl+" : "") + (shiftKey ? "Shift+" : "");
  const place = { BracketLeft: "[", BracketRight: "]" }[code] ?? code.replace(/^(Key|Digit)/, "");
  const isForeign = key > "\u007f" || key === "Process";
  const names = isForeign || code.startsWith("Digit") ? [key, place] : [key];
  return names.map((name) => held + (name.length === 1 ? name.toUpperCase() : name));
}

/** The action of a key event; where two have the same key, that of the layer which is worked on. */
export function actionOf(event, editor, classes) {
  const all = [...TOOLS, ...HISTORY, ...BY_KEY_ALONE, ...classes];
  for (const meaning of meanings(event)) {
    const found = all.filter(({ keys }) => keys?.split(" ").includes(meaning));
    if (found.length) return found.find(({ layer }) => layer === editor.tool.layer) ?? found[0];
  }
  return null;
}

// Everything around the stage that can be pressed: tools, size, layers, legend, download.

import { button, make, roving, slider } from "../dom.js";
import { classActions, HISTORY, keyList, SIZES, TOOLS, WHOLE, WHOLE_VIEW } from "./actions.js";
import { LAYERS } from "./drawing.js";

const DOWNLOAD = "M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 20h14";
const KEYS = "M8.6 9a3.5 3.5 0 1 1 5.3 3c-1.2.8-1.9 1.4-1.9 2.7M12 18.4v.1";
const VISIBLE =
  "M2.5 12S6 5.8 12 5.8 21.5 12 21.5 12 18 18.2 12 18.2 2.5 12 2.5 12zM9.3 12a2.7 2.7 0 1 0 5.4 0a2.7 2.7 0 1 0-5.4 0";
const HIDDEN =
  "M4 4l16 16M9.5 6.2A9 9 0 0 1 12 5.8c6 0 9.5 6.2 9.5 6.2a17 17 0 0 1-2.8 3.5M6.2 7.8A17 17 0 0 0 2.5 12S6 18.2 12 18.2a9 9 0 0 0 4.3-1.1";

const MOST_SEEN = 30; // classes; among more one is found by its name

const LAYER_NAMES = { labels: "Paint", sketch: "Sketch" };
const NOT_TAKEN = { labels: "This model takes no painted classes", sketch: "This model takes no sketch" };

function icon(path) {
  const [svg, shape] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

const group = (label, looks, ...children) =>
  make("div", { class: `tray group ${looks}`, role: "group", "aria-label": label }, ...children);

/** What a press unfolds; it closes when one goes elsewhere, or with Escape. */
function menuOf(name, path, looks, ...items) {
  const summary = make("summary", { class: "icon", "aria-label": name.split(" · ")[0], "data-tip": name }, icon(path));
  const menu = make("details", { class: "unfolding" }, summary, make("div", { class: `tray menu ${looks}` }, ...items));
  const closeOutside = ({ target }) => {
    if (target && !menu.contains(target)) menu.open = false;
  };
  menu.addEventListener("focusout", ({ relatedTarget }) => closeOutside({ target: relatedTarget }));
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    summary.focus();
  });
  menu.addEventListener("toggle", () => {
    const listen = menu.open ? "addEventListener" : "removeEventListener";
    document[listen]("pointerdown", closeOutside);
  });
  return menu;
}

/** A field that leaves the chips whose names hold what is typed; Enter takes the first, Escape shows all again. */
function makeFinder(chips) {
  const field = make("input", { type: "search", class: "find", placeholder: "Find a class", "aria-label": "Find a class" });
  const filter = () => {
    const wanted = field.value.trim().toLowerCase();
    for (const chip of chips) chip.hidden = !chip.title.toLowerCase().includes(wanted);
  };
  const clear = () => {
    field.value = "";
    filter();
  };
  field.addEventListener("input", filter);
  field.addEventListener("keydown", (event) => {
    event.stopPropagation(); // letters are keys of tools elsewhere
    if (event.key === "Enter") chips.find((chip) => !chip.hidden)?.click();
    if (event.key === "Enter" || event.key === "Escape") clear();
  });
  return field;
}

export class Panel {
  /** act: what the editor does not do: show(layer, isVisible), opacity(percent), download(layer). */
  constructor(editor, act) {
    this.editor = editor;
    this.act = act;
    this.classes = [];
    this.buttons = new Map();
    this.status = make("div", { class: "heard", role: "status", "aria-live": "polite" });
    this.toolbar = this.makeToolbar();
    this.options = this.makeOptions();
    this.wholeView = this.button(WHOLE_VIEW, "100%", { class: "whole-view" });
    this.legend = make("div", { class: "tray legend", role: "group", "aria-label": "Classes to paint" });
    this.tabStops = [roving(this.toolbar), roving(this.legend)];
  }

  say(text) {
    this.status.textContent = text;
    this.status.classList.remove("seen");
  }

  /** What eyes must read, too, until something else is said or a while has passed. */
  warn(text) {
    this.say(text);
    this.status.classList.add("seen");
    clearTimeout(this.fading);
    this.fading = setTimeout(() => this.status.classList.remove("seen"), 8000);
  }

  /** The button of an action; refresh() keeps it true. */
  button(action, content, attributes) {
    const press = () => action.run(this.editor);
    const keys = action.keys?.replaceAll("Ctrl", "Control");
    const node = button(content, press, { "aria-label": action.name, "aria-keyshortcuts": keys, ...attributes });
    this.buttons.set(action, node);
    return node;
  }

  /** A button with an icon, a name for the ears and a tip (with its key) for the eyes. */
  iconButton(action) {
    return this.button(action, icon(action.icon), { class: "icon", "data-tip": tipOf(action) });
  }

  makeToolbar() {
    const groups = LAYERS.map((layer) => {
      const tools = TOOLS.filter((tool) => tool.layer === layer).map((tool) => this.iconButton(tool));
      const caption = make("span", { class: "caption", "aria-hidden": "true" }, LAYER_NAMES[layer]);
      return group(`${LAYER_NAMES[layer]} tools`, "", caption, ...tools);
    });
    groups.push(group("History", "plain", ...HISTORY.map((action) => this.iconButton(action))));
    return make("div", { class: "toolbar", role: "toolbar", "aria-label": "Drawing tools" }, ...groups);
  }

  makeOptions() {
    const resize = (size) => this.editor.resizeTool(size);
    this.size = slider(resize, { min: 1, step: 2, "aria-label": "Size", class: "size" });
    this.sizeText = make("output", { class: "number" });
    const opacity = slider(this.act.opacity, { min: 10, max: 100, value: 100, "aria-label": "Opacity of the paint" });
    this.eyes = Object.fromEntries(LAYERS.map((layer) => [layer, this.makeEye(layer)]));
    return make(
      "div",
      { class: "options", role: "group", "aria-label": "Size and layers" },
      make("label", { class: "field" }, make("span", { class: "caption" }, "Size"), this.size, this.sizeText),
      group(
        "Layers",
        "plain layers",
        this.eyes.labels,
        make("span", { class: "tipped", "data-tip": "Opacity of the paint" }, opacity),
        this.eyes.sketch,
      ),
      group("Drawing", "plain last", ...WHOLE.map((action) => this.iconButton(action)), this.makeDownloads(), this.makeKeys()),
    );
  }

  makeEye(layer) {
    const name = `Show ${LAYER_NAMES[layer].toLowerCase()}`;
    const toggle = () => this.act.show(layer, eye.getAttribute("aria-pressed") !== "true");
    const eye = button([icon(VISIBLE), LAYER_NAMES[layer]], toggle, { class: "icon eye", "aria-label": name });
    eye.dataset.tip = name;
    return eye;
  }

  makeDownloads() {
    const item = (layer) => {
      const download = () => {
        menu.open = false;
        this.act.download(layer);
      };
      return [layer, button(`${LAYER_NAMES[layer]} as PNG`, download)];
    };
    this.downloads = Object.fromEntries(LAYERS.map(item));
    const menu = menuOf("Download drawing", DOWNLOAD, "", ...Object.values(this.downloads));
    return menu;
  }

  makeKeys() {
    this.keyTable = make("dl", { class: "keys" });
    this.keys = menuOf("Keys · ?", KEYS, "wide", this.keyTable);
    return this.keys;
  }

  openKeys() {
    this.keys.open = !this.keys.open;
    if (this.keys.open) this.keys.firstChild.focus();
  }

  setClasses(classes) {
    this.classes.forEach((action) => this.buttons.delete(action));
    this.classes = classActions(classes);
    const chips = this.classes.map((action) => {
      const swatch = make("i", { class: "swatch", "--swatch": action.color });
      const name = make("span", { class: "name" }, action.name);
      const key = make("kbd", {}, action.keys?.replace("Shift+", "⇧") ?? "");
      return this.button(action, [swatch, name, key], { class: "chip", title: action.name });
    });
    this.legend.replaceChildren(...(chips.length > MOST_SEEN ? [makeFinder(chips)] : []), ...chips);
    const row = ([keys, name]) => make("div", {}, make("dt", {}, make("kbd", {}, keys)), make("dd", {}, name));
    this.keyTable.replaceChildren(...keyList(this.classes).map(row));
  }

  /** Shows the state of the editor. */
  refresh() {
    const { editor } = this;
    for (const [action, node] of this.buttons) {
      const isTaken = !action.layer || editor.layers.includes(action.layer);
      node.disabled = action.isPossible ? !action.isPossible(editor) : false;
      if (action.isOn) node.setAttribute("aria-pressed", String(action.isOn(editor)));
      if (node.dataset.tip) node.dataset.tip = isTaken ? tipOf(action) : NOT_TAKEN[action.layer];
    }
    const kind = editor.tool.size;
    this.size.disabled = !kind;
    this.size.max = SIZES[kind]?.largest ?? 1;
    this.size.value = editor.size;
    this.sizeText.textContent = kind ? editor.size : "–";
    for (const layer of LAYERS) this.downloads[layer].disabled = editor.drawing.isEmpty(layer);
    for (const stopAt of this.tabStops) stopAt();
  }

  refreshEye(layer, isVisible) {
    this.eyes[layer].setAttribute("aria-pressed", String(isVisible));
    this.eyes[layer].firstChild.replaceWith(icon(isVisible ? VISIBLE : HIDDEN));
    this.say(`${LAYER_NAMES[layer]} ${isVisible ? "shown" : "hidden"}`);
  }
}

const tipOf = ({ name, keys }) => (keys ? `${name} · ${keys.split(" ")[0]}` : name);

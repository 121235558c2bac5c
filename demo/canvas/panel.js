// Everything around the stage that can be pressed: tools, size, layers, legend, download.

const ICONS = {
  brush: "M4 20c3.2.9 6.3-.2 6.3-3a2.6 2.6 0 0 0-2.6-2.6C4.9 14.4 5.6 18 4 20zM10 14.3 18.7 4.7a1.8 1.8 0 0 1 2.6 2.5L12.4 16.5",
  fill: "M11.5 4.5 4.6 11.4a1.5 1.5 0 0 0 0 2.1l5 5a1.5 1.5 0 0 0 2.1 0L18.5 11.5zM9 2l5 5M4.5 12.5h13M20.5 15.5s1.7 2.1 1.7 3.3a1.7 1.7 0 0 1-3.4 0c0-1.2 1.7-3.3 1.7-3.3z",
  line: "M7.2 16.8 16.8 7.2M4 18.5a1.8 1.8 0 1 0 3.6 0a1.8 1.8 0 1 0-3.6 0M16.4 5.5a1.8 1.8 0 1 0 3.6 0a1.8 1.8 0 1 0-3.6 0",
  rectangle: "M5.5 6h13A1.5 1.5 0 0 1 20 7.5v9a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 4 16.5v-9A1.5 1.5 0 0 1 5.5 6z",
  eraser: "M9 20h11M14.8 4.7l4.5 4.5a1.7 1.7 0 0 1 0 2.4L11 20H8l-3.8-3.8a1.7 1.7 0 0 1 0-2.4l8.2-9.1a1.7 1.7 0 0 1 2.4 0zM8.2 9.4l6.9 6.9",
  pen: "M4 20l1.1-4.6L16.3 4.2a2.2 2.2 0 0 1 3.2 0l.3.3a2.2 2.2 0 0 1 0 3.2L8.6 18.9zM14.2 6.3l3.5 3.5",
  undo: "M5 9h9.5a5 5 0 0 1 0 10H9M5 9l4-4M5 9l4 4",
  redo: "M19 9H9.5a5 5 0 0 0 0 10H15M19 9l-4-4M19 9l-4 4",
  mirror: "M12 3.5v17M9 7.5 3.5 17H9zM15 7.5 20.5 17H15z",
  clear: "M5 7h14M9.5 7V4.5h5V7M7 7l.8 12.5h8.4L17 7M10.4 10.5v5.5M13.6 10.5v5.5",
  download: "M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 20h14",
  visible: "M2.5 12S6 5.8 12 5.8 21.5 12 21.5 12 18 18.2 12 18.2 2.5 12 2.5 12zM9.3 12a2.7 2.7 0 1 0 5.4 0a2.7 2.7 0 1 0-5.4 0",
  hidden: "M4 4l16 16M9.5 6.2A9 9 0 0 1 12 5.8c6 0 9.5 6.2 9.5 6.2a17 17 0 0 1-2.8 3.5M6.2 7.8A17 17 0 0 0 2.5 12S6 18.2 12 18.2a9 9 0 0 0 4.3-1.1",
};
ICONS.rubber = ICONS.eraser;

const LAYER_NAMES = { labels: "Paint", sketch: "Sketch" };
const NOT_TAKEN = { labels: "This model takes no painted classes", sketch: "This model takes no sketch" };

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button with an icon, a name for the ears and a tip (with its key) for the eyes. */
function iconButton(name, label, key, press) {
  const button = make("button", { type: "button", class: "icon", "aria-label": label }, icon(name));
  button.dataset.tip = key ? `${label} · ${key}` : label;
  if (key) button.setAttribute("aria-keyshortcuts", key.replaceAll("Ctrl", "Control"));
  button.addEventListener("click", press);
  return button;
}

/** One Tab stop for a row of buttons; the arrow keys go from one to the next. */
function roving(row) {
  const buttons = () => [...row.querySelectorAll("button:not(:disabled)")];
  const stopAt = (chosen) => buttons().forEach((button) => (button.tabIndex = button === chosen ? 0 : -1));
  row.addEventListener("focusin", (event) => stopAt(event.target));
  row.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = buttons();
    all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus();
  });
  return () => {
    const all = buttons();
    if (!all.some((button) => button.tabIndex === 0)) stopAt(all[0]);
  };
}

/** The key of a class: 1 to 9, 0 for the tenth, then the same with Shift; none beyond the twentieth. */
function classKey(id) {
  if (id > 20) return "";
  return (id > 10 ? "Shift+" : "") + (id % 10);
}

class Panel {
  /** act: what the editor does not do: show(layer), opacity(percent), download(layer). */
  constructor(editor, act) {
    this.editor = editor;
    this.act = act;
    this.status = make("div", { class: "heard", role: "status", "aria-live": "polite" });
    this.toolbar = this.makeToolbar();
    this.options = this.makeOptions();
    this.legend = make("div", { class: "legend", role: "group", "aria-label": "Classes to paint" });
    this.refreshStops = [roving(this.toolbar), roving(this.legend)];
  }

  say(text) {
    this.status.textContent = text;
  }

  makeToolbar() {
    this.tools = {};
    const group = (layer) => {
      const row = make("div", { class: "group", role: "group", "aria-label": `${LAYER_NAMES[layer]} tools` });
      row.append(make("span", { class: "caption", "aria-hidden": "true" }, LAYER_NAMES[layer]));
      for (const [tool, { name, key }] of Object.entries(TOOLS)) {
        if (TOOLS[tool].layer !== layer) continue;
        this.tools[tool] = iconButton(tool, name, key, () => this.editor.choose(tool));
        row.append(this.tools[tool]);
      }
      return row;
    };
    this.undo = iconButton("undo", "Undo", "Ctrl+Z", () => this.editor.undo());
    this.redo = iconButton("redo", "Redo", "Ctrl+Shift+Z", () => this.editor.redo());
    const history = make("div", { class: "group plain", role: "group", "aria-label": "History" }, this.undo, this.redo);
    const bar = make("div", { class: "toolbar", role: "toolbar", "aria-label": "Drawing tools" });
    bar.append(group("labels"), group("sketch"), history);
    return bar;
  }

  makeOptions() {
    this.sizeInput = make("input", { type: "range", min: 1, step: 2, "aria-label": "Size", class: "size" });
    this.sizeInput.addEventListener("input", () => this.editor.resizeTool(Number(this.sizeInput.value)));
    this.sizeText = make("output", { class: "number" });
    this.opacityInput = make("input", { type: "range", min: 10, max: 100, value: 100, "aria-label": "Opacity of the paint" });
    this.opacityInput.addEventListener("input", () => this.act.opacity(Number(this.opacityInput.value)));
    this.eyes = Object.fromEntries(LAYERS.map((layer) => [layer, this.makeEye(layer)]));
    return make(
      "div",
      { class: "options", role: "group", "aria-label": "Size and layers" },
      make("label", { class: "field" }, make("span", { class: "caption" }, "Size"), this.sizeInput, this.sizeText),
      make("div", { class: "group plain layers" }, this.eyes.labels, tipped(this.opacityInput, "Opacity of the paint"), this.eyes.sketch),
      make(
        "div",
        { class: "group plain last" },
        iconButton("mirror", "Mirror", "", () => this.editor.mirror()),
        iconButton("clear", "Clear all", "", () => this.editor.clear()),
        this.makeDownloads(),
      ),
    );
  }

  makeEye(layer) {
    const eye = iconButton("visible", `Show ${LAYER_NAMES[layer].toLowerCase()}`, "", () => this.act.show(layer));
    eye.classList.add("eye");
    eye.append(LAYER_NAMES[layer]);
    return eye;
  }

  makeDownloads() {
    const item = (layer, text) => {
      const button = make("button", { type: "button" }, text);
      button.addEventListener("click", () => {
        this.downloads.open = false;
        this.act.download(layer);
      });
      return button;
    };
    const summary = make("summary", { class: "icon", "aria-label": "Download drawing" }, icon("download"));
    summary.dataset.tip = "Download drawing";
    this.downloadItems = { labels: item("labels", "Paint as PNG"), sketch: item("sketch", "Sketch as PNG") };
    this.downloads = make("details", { class: "downloads" }, summary);
    this.downloads.append(make("div", { class: "menu" }, ...Object.values(this.downloadItems)));
    this.downloads.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !this.downloads.contains(event.relatedTarget)) this.downloads.open = false;
    });
    this.downloads.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.downloads.open) return;
      this.downloads.open = false;
      summary.focus();
    });
    const closeOutside = (event) => {
      if (!this.downloads.contains(event.target)) this.downloads.open = false;
    };
    this.downloads.addEventListener("toggle", () => {
      const listen = this.downloads.open ? "addEventListener" : "removeEventListener";
      document[listen]("pointerdown", closeOutside);
    });
    return this.downloads;
  }

  setClasses(classes) {
    this.chips = classes.map(({ name, color }, index) => {
      const key = classKey(index + 1);
      const chip = make("button", { type: "button", class: "chip", "aria-label": name }, make("i", { class: "swatch" }));
      chip.style.setProperty("--swatch", color);
      chip.append(make("span", { class: "name" }, name), make("kbd", {}, key.replace("Shift+", "⇧")));
      if (key) chip.setAttribute("aria-keyshortcuts", key);
      chip.addEventListener("click", () => this.editor.chooseClass(index + 1));
      return chip;
    });
    this.legend.replaceChildren(...this.chips);
  }

  /** Shows the state of the editor and what is visible: {labels: bool, sketch: bool}. */
  refresh(visible) {
    const { editor } = this;
    for (const [tool, button] of Object.entries(this.tools)) {
      const possible = editor.layers.includes(TOOLS[tool].layer);
      button.setAttribute("aria-pressed", String(tool === editor.tool));
      button.disabled = !possible;
      button.dataset.tip = possible ? `${TOOLS[tool].name} · ${TOOLS[tool].key}` : NOT_TAKEN[TOOLS[tool].layer];
    }
    this.chips.forEach((chip, index) => {
      chip.setAttribute("aria-pressed", String(editor.ink === index + 1 && editor.settings.layer === "labels"));
      chip.disabled = !editor.layers.includes("labels");
    });
    this.undo.disabled = !editor.drawing.canUndo;
    this.redo.disabled = !editor.drawing.canRedo;
    this.refreshSize();
    for (const layer of LAYERS) this.refreshLayer(layer, visible[layer]);
    this.refreshStops.forEach((refresh) => refresh());
  }

  refreshSize() {
    const kind = this.editor.settings.size;
    this.sizeInput.disabled = !kind;
    this.sizeInput.max = LARGEST[kind] || 1;
    this.sizeInput.value = this.editor.size;
    this.sizeText.textContent = kind ? this.editor.size : "–";
  }

  refreshLayer(layer, isVisible) {
    const eye = this.eyes[layer];
    eye.setAttribute("aria-pressed", String(isVisible));
    eye.firstChild.replaceWith(icon(isVisible ? "visible" : "hidden"));
    this.downloadItems[layer].disabled = this.editor.drawing.isEmpty(layer);
  }
}

function tipped(node, tip) {
  const holder = make("span", { class: "tipped" }, node);
  holder.dataset.tip = tip;
  return holder;
}

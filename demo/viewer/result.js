// The picture, and before that its previews. Several pictures share the stage.

import { button, make, menu, roving, slider } from "../dom.js";

export function picture(src, alt, attributes = {}) {
  return make("img", { src, alt, draggable: "false", ...attributes });
}

/** As many columns as make a grid of `count` pictures about square. */
function gridOf(images) {
  return make("div", { class: "grid forming", "--columns": Math.ceil(Math.sqrt(images.length)) }, ...images);
}

export class ResultPanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.node = make("div", { class: "panel" });
    this.opacity = 0;
    this.layers = [];
    this.over = this.overlay();
    this.save = make("a", { class: "act", download: "", "aria-label": "Save the picture as PNG" }, "Save");
    const copy = button("Copy", () => this.copy(), { class: "act", "aria-label": "Copy the picture" });
    this.more = menu("More", {
      "Save 2 × larger (resampled)": () => viewer.trigger("enlarge", { index: this.selected, times: 2 }),
      "Save 4 × larger (resampled)": () => viewer.trigger("enlarge", { index: this.selected, times: 4 }),
      "Put its edges on the canvas": () => viewer.trigger("reuse", { index: this.selected, kind: "sketch" }),
      "Put its classes on the canvas": () => viewer.trigger("reuse", { index: this.selected, kind: "labels" }),
    });
    this.controls = make("div", { class: "controls" }, this.over, copy, this.save, this.more);
  }

  /** The slider that lays the drawing over the picture. */
  overlay() {
    const move = (percent) => {
      this.opacity = percent / 100;
      for (const layer of this.layers) layer.style.opacity = layer.matches(".labels") ? this.opacity : Math.ceil(this.opacity);
    };
    const range = slider(move, { min: 0, max: 100, step: 1, value: 0, "aria-label": "Drawing over the picture" });
    return make("label", { class: "overlay" }, make("span", {}, "Drawing"), range);
  }

  /** To the clipboard, where the browser lets a page do so. */
  async copy() {
    const { viewer } = this;
    try {
      const file = fetch(this.save.href).then((answer) => answer.blob());
      await navigator.clipboard.write([new ClipboardItem({ "image/png": file })]);
      viewer.say("Copied");
    } catch {
      viewer.say("This browser copies no pictures from here: right-click it, Copy image");
    }
  }

  /** The previews of a running request. An image that is already there changes its source, so that nothing blinks. */
  form(previews) {
    const images = [...this.node.querySelectorAll(".forming img")];
    if (images.length !== previews.length) {
      this.node.replaceChildren(gridOf(previews.map((src) => picture(src, "The picture as it forms"))));
    } else {
      images.forEach((image, index) => (image.src = previews[index]));
    }
    this.controls.hidden = true;
  }

  show(view, selected) {
    const { pictures } = view;
    const shown = pictures[selected];
    const alt = `Generated picture, seed ${shown.seed}`;
    this.selected = selected;
    this.layers = Object.entries(view.drawing || {})
      .filter(([, src]) => src)
      .map(([name, src]) => picture(src, "", { class: `whole drawn ${name}` }));
    this.node.replaceChildren(picture(shown.file.url, alt, { class: "whole" }), ...this.layers);
    this.over.hidden = !this.layers.length;
    this.over.lastChild.dispatchEvent(new Event("input"));
    if (pictures.length > 1) this.node.append(this.choices(pictures, selected));
    this.controls.hidden = false;
    this.save.href = shown.file.url;
    this.save.download = shown.file.orig_name;
  }

  choices(pictures, selected) {
    const row = make("div", { class: "choices", role: "group", "aria-label": "Variations" });
    const buttons = pictures.map(({ file, seed }, index) => {
      const choose = () => {
        this.viewer.select(index);
        this.node.querySelectorAll(".choices button")[index].focus();
      };
      return button(picture(file.url, ""), choose, {
        "aria-pressed": String(index === selected),
        "aria-label": `Variation ${index + 1}, seed ${seed}`,
      });
    });
    row.append(...buttons);
    roving(row)(buttons[selected]);
    return row;
  }

  reason() {
    return null;
  }
}

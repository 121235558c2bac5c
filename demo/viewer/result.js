// The picture, and before that its previews. Several pictures share the stage.

import { button, make, roving } from "../dom.js";

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
    this.save = make("a", { class: "act", download: "", "aria-label": "Save the picture as PNG" }, "Save PNG");
    this.controls = make("div", { class: "controls" }, this.save);
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
    this.node.replaceChildren(picture(shown.file.url, `Generated picture, seed ${shown.seed}`, { class: "whole" }));
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

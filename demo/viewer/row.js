// A row of pictures that differ in one thing; each can be taken back onto the page.

import { button, choice, make, roving } from "../dom.js";
import { picture } from "./result.js";

const OVER = { strength: "Strength", seed: "Seed", end: "Until" };
const TOLD = {
  strength: "The same picture as the drawing's strength rises from nothing to full.",
  seed: "The same drawing with four seeds.",
  end: "The drawing acts until a fifth of the steps, two fifths, to the end. Early ends leave more to the prompt.",
};

export class RowPanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.over = "strength";
    this.node = make("div", { class: "panel row" });
    this.controls = choice("What varies", OVER, (over) => {
      this.over = over;
      viewer.refresh();
    });
    this.below = make("div", { class: "parts" });
  }

  prepare() {
    const paint = () => this.viewer.trigger("row", { over: this.over });
    const again = button("Paint the row", paint, { class: "act strong" });
    this.below.replaceChildren(make("p", { class: "figures" }, make("span", {}, TOLD[this.over]), again));
  }

  show({ row, state }) {
    const cells = row.names.map((name, index) => this.cell(name, row.pictures[index], index));
    const next = cells[row.pictures.length];
    if (state === "comparing" && next) next.classList.add("next");
    this.node.style.setProperty("--columns", Math.ceil(Math.sqrt(cells.length)));
    this.node.replaceChildren(...cells);
    roving(this.node)();
  }

  cell(name, painted, index) {
    const label = make("span", { class: "tag left" }, name);
    if (!painted) return make("div", { class: "cell" }, label);
    const choose = () => {
      this.viewer.tab = "result";
      this.viewer.trigger("choose", { index });
    };
    const attributes = { class: "cell", "aria-label": `Restore: ${name}`, title: `Restore: ${name}` };
    return button([picture(painted.file.url, ""), label], choose, attributes);
  }

  reason({ row }) {
    return row?.over === this.over ? null : "A row of pictures that differ in one thing alone.";
  }
}

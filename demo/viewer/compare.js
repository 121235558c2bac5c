// The picture beside what the same model makes of the same noise without the drawing.

import { choice, make, slider } from "../dom.js";
import { picture } from "./result.js";

const LABEL = "Compare: more without or with the drawing";

export class ComparePanel {
  constructor(viewer) {
    this.node = make("div", { class: "panel compare" });
    this.position = 50;
    this.mode = "slider";
    this.controls = choice("How to compare", { slider: "Slider", side: "Side by side" }, (mode) => {
      this.mode = mode;
      viewer.refresh();
    });
  }

  /** The plain picture as it forms. */
  form(view, previews, selected) {
    const plain = this.node.querySelector("img.plain");
    if (plain && this.forming) plain.src = previews[selected];
    else this.lay(view.pictures[selected].file.url, previews[selected]);
    this.forming = true;
  }

  show(view, selected) {
    this.forming = false;
    this.lay(view.pictures[selected].file.url, view.plain[selected].url);
  }

  lay(modulated, plain) {
    const images = [
      picture(plain, "Without the drawing", { class: "plain" }),
      picture(modulated, "With the drawing", { class: "modulated" }),
    ];
    const without = make("span", { class: "tag left" }, "Without drawing");
    const with_ = make("span", { class: "tag right" }, "With drawing");
    this.node.classList.toggle("side", this.mode === "side");
    this.node.replaceChildren(...images, without, with_);
    if (this.mode === "slider") this.node.append(make("i", { class: "divider", "aria-hidden": "true" }), this.slider());
  }

  slider() {
    const move = (position) => {
      this.position = position;
      this.node.style.setProperty("--at", `${position}%`);
    };
    move(this.position);
    return slider(move, { min: 0, max: 100, step: 0.5, value: this.position, class: "cover", "aria-label": LABEL });
  }

  reason(view) {
    if (!view.modulated) return "Nothing of a drawing acted on this picture: with and without are the same.";
    return view.plain ? null : "";
  }
}

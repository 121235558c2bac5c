// What the modulator did: where and when its scale and its shift acted, over the steps.

import { choice, make, slider } from "../dom.js";
import { bytes, heatKey, paintHeat } from "./colors.js";
import { chips, partsOf } from "./parts.js";
import { picture } from "./result.js";

const PARTS = { both: "Both", gamma: "Scale γ", nu: "Shift ν" };
const TOLD = {
  both: "At each step the frozen model guesses the noise. The modulator corrects the guess, where it is bright.",
  gamma: "Scale γ turns the frozen model’s guess of the noise up or down, place by place.",
  nu: "Shift ν adds to the guess what the frozen model did not think of: new forms and colours.",
};

export class ActionPanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.part = "both";
    this.node = make("div", { class: "panel action" });
    this.heat = make("canvas", { class: "heat", role: "img" });
    this.controls = choice("What to show", PARTS, (part) => {
      this.part = part;
      viewer.refresh();
    });
    this.below = make("div", { class: "steps" });
  }

  /** Opens on the step in which the modulator acted most. */
  show(view, selected, previews) {
    const fresh = this.run !== view.run || this.selected !== selected;
    Object.assign(this, { run: view.run, selected, view, previews });
    const { steps, gamma, nu, top } = view.action;
    this.maps = { gamma: bytes(gamma[selected]), nu: bytes(nu[selected]) };
    this.strengths = this.means();
    const most = Math.max(...this.strengths);
    if (fresh) this.step = this.strengths.indexOf(most);
    const key = heatKey("unchanged", `${Math.round(100 * top)} % of the noise`);
    this.background = picture(view.pictures[selected].file.url, "", { class: "whole dimmed" });
    this.node.replaceChildren(this.background, this.heat, make("span", { class: "tag left" }, ""), key);
    const track = make("div", { class: "track" }, this.curve(Math.max(most, 1e-9)), this.scrubber(steps));
    const curve = make("div", { class: "curves" }, "noise", track, "picture");
    const text = make("p", { class: "figures" }, TOLD[this.part]);
    const taken = chips("Without", partsOf(view), null, (key) => this.viewer.takeAway(key));
    this.below.replaceChildren(curve, text, taken);
    this.goTo(this.step);
  }

  /** Levels of one step, 0..255 and more where both parts add up. */
  levels(step) {
    const size = this.view.action.width * this.view.action.height;
    const part = (name) => this.maps[name].subarray(step * size, (step + 1) * size);
    if (this.part !== "both") return Array.from(part(this.part));
    const nu = part("nu");
    return Array.from(part("gamma"), (level, index) => level + nu[index]);
  }

  /** The mean level of each step. */
  means() {
    return Array.from({ length: this.view.action.steps }, (_, step) => {
      const levels = this.levels(step);
      return levels.reduce((sum, level) => sum + level, 0) / levels.length;
    });
  }

  goTo(step) {
    this.step = step;
    const { action } = this.view;
    paintHeat(this.heat, this.levels(step), action.width, action.height);
    const percent = Math.round((100 * this.strengths[step]) / 255);
    const told = `Step ${step + 1} of ${action.steps}: mean action ${percent} % of the strongest`;
    this.heat.setAttribute("aria-label", told);
    this.node.querySelector(".tag").textContent = `Step ${step + 1} of ${action.steps}`;
    this.range.setAttribute("aria-valuetext", told);
    this.cursor.style.setProperty("--at", (step + 0.5) / action.steps);
    const before = this.previews?.[step]?.[this.selected];
    this.background.src = before || this.view.pictures[this.selected].file.url;
  }

  scrubber(steps) {
    const attributes = { min: 0, max: steps - 1, step: 1, class: "cover", "aria-label": "Step" };
    this.range = slider((step) => this.goTo(step), { value: this.step, ...attributes });
    return this.range;
  }

  /** A bar for each step, as high as the modulator's mean action in it. */
  curve(top) {
    const bars = this.strengths.map((strength) => make("i", { "--share": strength / top }));
    this.cursor = make("b", { class: "cursor" });
    return make("div", { class: "curve", "aria-hidden": "true" }, ...bars, this.cursor);
  }

  reason(view) {
    if (!view.modulated) return "The modulator did nothing here: nothing was drawn, or the strength was 0.";
    return view.action ? null : "The steps of this picture were not kept. Generate it again to see them.";
  }
}

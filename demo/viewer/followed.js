// How well the picture follows the drawing: the map read again from the picture, and the agreement by class.

import { button, choice, make } from "../dom.js";
import { picture } from "./result.js";

const OVER = { map: "The map read from the picture", misses: "Where it differs from what was painted" };

const percent = (share) => `${Math.round(100 * share)} %`;
const tag = (side, text) => make("span", { class: `tag ${side}` }, text);

export class FollowedPanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.over = "map";
    this.node = make("div", { class: "panel followed" });
    this.controls = choice("What to draw over it", { map: "Map read again", misses: "Misses" }, (over) => {
      this.over = over;
      viewer.refresh();
    });
    this.below = make("ul", { class: "shares" });
  }

  show(view, selected) {
    const read = view.followed[selected];
    this.node.replaceChildren(
      picture(view.pictures[selected].file.url, "", { class: "whole" }),
      picture(read[this.over], OVER[this.over], { class: "whole over" }),
      tag("left", `${percent(read.share)} of the painted area`),
    );
    if (read.plain !== null) this.node.append(tag("right", `Without the drawing ${percent(read.plain)}`));
    this.below.replaceChildren(...read.classes.map((followed) => this.share(followed, view.modulated)));
  }

  /** How well a class was followed; pressed, it is taken away. */
  share({ key, name, color, share }, modulated) {
    const swatch = make("i", { class: "swatch", "--swatch": color });
    const texts = [make("span", { class: "name" }, name), make("b", {}, percent(share))];
    const attributes = {
      "--swatch": color,
      "--share": share,
      title: `See the picture without the ${name}`,
      "aria-label": `${name}: ${percent(share)}. See the picture without it`,
      disabled: modulated ? null : "",
    };
    return make("li", {}, button([swatch, ...texts], () => this.viewer.takeAway(key), attributes));
  }

  reason(view) {
    return view.followed ? null : view.not_followed;
  }
}

// How well the picture follows the drawing: the map read again from the picture, and the agreement by class.

const percent = (share) => `${Math.round(100 * share)} %`;

class FollowedPanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.misses = false;
    this.node = make("div", { class: "panel followed" });
    this.choices = [false, true].map((misses) =>
      button(misses ? "Misses" : "Map read again", () => this.switchTo(misses), { class: "act" }),
    );
    this.controls = make("div", { class: "controls", role: "group", "aria-label": "What to draw over it" }, ...this.choices);
    this.below = make("ul", { class: "shares" });
    this.refreshChoices();
  }

  switchTo(misses) {
    this.misses = misses;
    this.refreshChoices();
    this.viewer.refresh();
  }

  refreshChoices() {
    this.choices.forEach((node, index) => node.setAttribute("aria-pressed", String(Boolean(index) === this.misses)));
  }

  show(view, selected) {
    const read = view.followed[selected];
    const over = this.misses ? [read.misses, "Where it differs from what was painted"] : [read.map, "The map read from the picture"];
    this.node.replaceChildren(
      picture(view.pictures[selected].file.url, "", { class: "whole" }),
      picture(...over, { class: "whole over" }),
      make("span", { class: "tag left" }, `${percent(read.share)} of the painted area`),
    );
    if (read.plain !== null) this.node.append(make("span", { class: "tag right" }, `Without drawing ${percent(read.plain)}`));
    this.below.replaceChildren(...read.classes.map((one) => this.share(one)));
  }

  share({ name, color, share }) {
    const item = make("li", {}, make("i", { class: "swatch" }), make("span", {}, name), make("b", {}, percent(share)));
    item.style.setProperty("--swatch", color);
    item.style.setProperty("--share", share);
    return item;
  }

  reason(view) {
    return view.followed ? null : view.not_followed;
  }
}

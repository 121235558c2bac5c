// The picture beside another: the same noise without a part of the drawing, or any two pictures of the visit.

import { button, choice, make, roving, slider } from "../dom.js";
import { bytes, heatKey, paintHeat } from "./colors.js";
import { ALL, chips, nameOf, partIn, partsOf } from "./parts.js";
import { picture } from "./result.js";

const PAIR = "pair";
const MODES = { slider: "Slider", side: "Side by side", difference: "Difference" };

const percent = (share) => `${Math.round(100 * share)} %`;

export class ComparePanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.node = make("div", { class: "panel compare" });
    this.part = ALL;
    this.pair = { A: 1, B: 0 };
    this.position = 50;
    this.mode = "slider";
    this.controls = choice("How to compare", MODES, (mode) => {
      this.mode = mode;
      viewer.refresh();
    });
    this.below = make("div", { class: "parts" });
  }

  /** What is compared with, at the latest picture; painted if it has not been yet. */
  choose(key) {
    this.part = key;
    this.viewer.open("compare");
  }

  /** The key of what the view is to be painted without, or null where nothing is missing. */
  missing(view) {
    if (this.part === PAIR || view.state !== "done" || !view.modulated) return null;
    const part = partIn(view, this.part);
    return view.twins?.[part] ? null : part;
  }

  /** The chips; they stay whatever is above them. */
  prepare(view) {
    const pressed = this.part === PAIR ? PAIR : partIn(view, this.part);
    const two = { class: "chip", "aria-pressed": String(pressed === PAIR), "data-key": PAIR };
    const any = view.gallery?.length > 1 ? button("Any two pictures", () => this.choose(PAIR), two) : null;
    this.below.replaceChildren(chips("Without", partsOf(view), pressed, (key) => this.choose(key), any));
  }

  /** The plain picture as it forms. */
  form(view, previews, selected) {
    const plain = this.node.querySelector("img.plain");
    if (plain && this.forming === view.turn) plain.src = previews[selected];
    else this.lay(view.pictures[selected].file.url, previews[selected], this.tags(view));
    this.forming = view.turn;
  }

  isForming(view) {
    return view.state === "comparing" && view.part === this.part && Boolean(view.previews?.length);
  }

  tags(view) {
    const name = nameOf(view, this.part);
    return [`Without ${name}`, `With ${name}`];
  }

  show(view, selected) {
    this.forming = null;
    if (this.part === PAIR) return this.showPair(view);
    const twin = view.twins[partIn(view, this.part)];
    const difference = twin.differences[selected];
    if (this.twin !== twin.files[0].url) this.position = twin.middle; // the divider goes through what was changed
    this.twin = twin.files[0].url;
    this.lay(view.pictures[selected].file.url, twin.files[selected].url, this.tags(view), { ...twin, difference });
    this.below.append(this.figures(difference));
  }

  showPair(view) {
    const count = view.gallery.length;
    for (const side of ["A", "B"]) this.pair[side] = Math.min(this.pair[side], count - 1);
    const [first, second] = [view.gallery[this.pair.A], view.gallery[this.pair.B]];
    this.lay(second.file.url, first.file.url, ["A", "B"]);
    this.below.append(...["A", "B"].map((side) => this.strip(side, view.gallery)));
  }

  /** The gallery, to choose one side of the pair from. */
  strip(side, gallery) {
    const row = make("div", { class: "strip", role: "group", "aria-label": `Picture ${side}` });
    gallery.forEach(({ file, text }, index) => {
      const press = () => {
        this.pair[side] = index;
        this.viewer.refresh();
        this.below.querySelectorAll(`[aria-label="Picture ${side}"] button`)[index].focus();
      };
      const pressed = String(index === this.pair[side]);
      row.append(button(picture(file.url, ""), press, { "aria-pressed": pressed, "aria-label": text, title: text }));
    });
    roving(row)(row.children[this.pair[side]]);
    return make("div", { class: "labelled" }, make("span", { class: "label", "aria-hidden": "true" }, side), row);
  }

  /** How much of the picture the part changed. */
  figures({ share, inside, outside }) {
    const isLocal = this.part !== ALL && inside !== null && outside !== null;
    const text = isLocal
      ? `It changed ${percent(inside)} of its own place, and ${percent(outside)} of the rest.`
      : `It changed ${percent(share)} of the picture.`;
    return make("p", { class: "figures" }, make("span", {}, text));
  }

  /** Two pictures, `twin` saying how they differ, if that is known. */
  lay(modulated, plain, [left, right], twin = null) {
    const mode = this.mode === "difference" && !twin?.difference ? "slider" : this.mode;
    const shown = mode === "difference" ? this.heat(modulated, twin.difference) : this.image(modulated, right, "modulated");
    const outline = twin?.outline && mode !== "side" ? [picture(twin.outline, "", { class: "outline" })] : [];
    const tags = [make("span", { class: "tag left" }, left), make("span", { class: "tag right" }, right)];
    if (mode === "difference") {
      tags[1].textContent = "Difference";
      tags.push(heatKey("no change", "another colour"));
    }
    this.node.classList.toggle("side", mode === "side");
    this.node.replaceChildren(this.image(plain, left, "plain"), shown, ...outline, ...tags);
    if (mode === "side") return;
    this.node.append(make("i", { class: "divider", "aria-hidden": "true" }), this.slider(left, tags[1].textContent));
  }

  image(src, alt, name) {
    return picture(src, alt, { class: name });
  }

  heat(modulated, { levels, width, height }) {
    const canvas = make("canvas", { class: "heat", role: "img", "aria-label": "Where the pictures differ" });
    paintHeat(canvas, bytes(levels), width, height);
    return make("div", { class: "modulated difference" }, picture(modulated, "", { class: "dimmed" }), canvas);
  }

  slider(left, right) {
    const move = (position) => {
      this.position = position;
      this.node.style.setProperty("--at", `${position}%`);
    };
    move(this.position);
    const label = `${left}, or ${right}`;
    return slider(move, { min: 0, max: 100, step: 0.5, value: this.position, class: "cover", "aria-label": label });
  }

  reason(view) {
    if (this.part === PAIR) return view.gallery?.length > 1 ? null : "Two pictures of this visit can be compared here.";
    if (!view.modulated) return "No drawing acted on this picture: it is the same with and without one.";
    return view.twins?.[partIn(view, this.part)] ? null : "";
  }
}

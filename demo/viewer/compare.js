// The picture beside what the same model makes of the same noise without the drawing.

class ComparePanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.node = make("div", { class: "panel compare" });
    this.position = 50;
    this.mode = "slider";
    this.modes = ["slider", "side"].map((mode) =>
      button({ slider: "Slider", side: "Side by side" }[mode], () => this.switchTo(mode), { class: "act" }),
    );
    this.controls = make("div", { class: "controls", role: "group", "aria-label": "How to compare" }, ...this.modes);
    this.refreshModes();
  }

  switchTo(mode) {
    this.mode = mode;
    this.refreshModes();
    this.viewer.refresh();
  }

  refreshModes() {
    this.modes.forEach((node, index) => node.setAttribute("aria-pressed", String(["slider", "side"][index] === this.mode)));
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
    const captions = [make("span", { class: "tag left" }, "Without drawing"), make("span", { class: "tag right" }, "With drawing")];
    this.node.classList.toggle("side", this.mode === "side");
    this.node.replaceChildren(...images, ...captions);
    if (this.mode === "slider") this.node.append(make("i", { class: "divider", "aria-hidden": "true" }), this.slider());
  }

  slider() {
    const input = make("input", { type: "range", min: 0, max: 100, step: 0.5, class: "cover", "aria-label": "Compare: more without or with the drawing" });
    const move = () => {
      this.position = Number(input.value);
      this.node.style.setProperty("--at", `${this.position}%`);
    };
    input.value = this.position;
    input.addEventListener("input", move);
    move();
    return input;
  }

  reason(view) {
    if (!view.modulated) return "Nothing of a drawing acted on this picture: with and without are the same.";
    return view.plain ? null : "";
  }
}

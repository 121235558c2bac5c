// Thumbnails in a row. props.value: [{images: [data URL], text}]

import { button, make, roving } from "../dom.js";

/** Only what this program has made may be shown. */
const isPicture = (source) => typeof source === "string" && source.startsWith("data:image/");

export function mount({ element, trigger, props, watch }) {
  const row = element.querySelector(".mcm-strip");
  row.setAttribute("role", "group");
  row.setAttribute("aria-label", props.label || "");
  const stopAt = roving(row);

  const thumbnail = ({ images, text }, index) => {
    const pictures = Array.from(images || []).filter(isPicture);
    const pair = pictures.map((src) => make("img", { src, alt: "", draggable: "false" }));
    const choose = () => trigger("choose", { index });
    return button(make("span", { class: "pair" }, ...pair), choose, { "aria-label": text, title: text });
  };

  const show = () => {
    row.replaceChildren(...Array.from(props.value || []).map(thumbnail));
    stopAt();
  };

  watch("value", show);
  show();
}

// Thumbnails in a row. props.value: [{images: [data URL], text}]

const row = element.querySelector(".mcm-strip");
row.setAttribute("role", "group");
row.setAttribute("aria-label", props.label || "");
roving(row);

/** Only what this program has made may be shown. */
function isPicture(source) {
  return typeof source === "string" && source.startsWith("data:image/");
}

function thumbnail({ images, text }, index) {
  const pictures = Array.from(images || []).filter(isPicture).map((src) => make("img", { src, alt: "", draggable: "false" }));
  return button(make("span", { class: "pair" }, ...pictures), () => trigger("choose", { index }), {
    "aria-label": text,
    title: text,
  });
}

function show() {
  row.replaceChildren(...Array.from(props.value || []).map(thumbnail));
}

watch("value", show);
show();

// Helpers for the page's own components. Text always goes in as text, never as markup.

/**
 * make("button", {type: "button", "--swatch": "#fff"}, "text" or node, ...)
 * Attributes and children that are null or false are left out; a name that begins with -- is a property of the style.
 */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("--")) node.style.setProperty(name, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export function button(content, press, attributes = {}) {
  const node = make("button", { type: "button", ...attributes }, ...[content].flat());
  node.addEventListener("click", press);
  return node;
}

/** A slider that calls `move(number)`. */
export function slider(move, { value, ...attributes }) {
  const node = make("input", { type: "range", ...attributes });
  node.value = value;
  node.addEventListener("input", () => move(Number(node.value)));
  return node;
}

/** Buttons of which one is pressed, at first the first: choice("Mode", {side: "Side by side", ...}, (mode) => ...) */
export function choice(label, names, choose) {
  const row = make("div", { class: "controls", role: "group", "aria-label": label });
  for (const [value, name] of Object.entries(names)) {
    const press = () => {
      for (const node of row.children) node.setAttribute("aria-pressed", String(node === pressed));
      choose(value);
    };
    const pressed = button(name, press, { class: "act", "aria-pressed": String(!row.firstChild) });
    row.append(pressed);
  }
  return row;
}

/** A button that opens a list of actions: menu("More", {"Save it": save, ...}) */
export function menu(title, actions) {
  const list = make("div", { class: "sheet", role: "group", "aria-label": title });
  const node = make("details", { class: "more" }, make("summary", { class: "act" }, title), list);
  const close = () => {
    node.open = false;
    node.firstChild.focus();
  };
  for (const [name, act] of Object.entries(actions)) {
    const press = () => {
      close();
      act();
    };
    list.append(button(name, press, { class: "act" }));
  }
  node.addEventListener("keydown", ({ key }) => key === "Escape" && node.open && close());
  node.addEventListener("focusout", ({ relatedTarget }) => {
    if (relatedTarget && !node.contains(relatedTarget)) node.open = false;
  });
  document.addEventListener("pointerdown", ({ target }) => {
    if (!node.contains(target)) node.open = false;
  });
  return node;
}

/**
 * The arrow keys, Home and End go from one button of a row to the next; Tab stops once. What is returned makes a button
 * that stop; without one, it makes sure that there is a stop after buttons have changed.
 */
export function roving(row) {
  const buttons = () => [...row.querySelectorAll("button:not(:disabled):not([hidden])")];
  const stopAt = (chosen) => {
    const all = buttons();
    const stop = chosen ?? all.find((node) => node.tabIndex === 0) ?? all[0];
    for (const node of all) node.tabIndex = node === stop ? 0 : -1;
  };
  row.addEventListener("focusin", (event) => stopAt(event.target));
  row.addEventListener("keydown", (event) => {
    const all = buttons();
    const at = all.indexOf(document.activeElement);
    const steps = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: -1 };
    if (at < 0 || !(event.key in steps)) return;
    event.preventDefault();
    all.at(steps[event.key] % all.length).focus();
  });
  return stopAt;
}

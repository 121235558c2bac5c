// props.value: {unknown: [word], vocabulary: {group: [words]} or null}

import { latestChange, nextChange } from "../changes.js";
import { button, make } from "../dom.js";

const PAUSE_MS = 400;

/** Words, each struck out, behind what is said of them; nothing where there are none. */
function marked(said, words) {
  if (!words.length) return [];
  return [make("span", { class: "unread" }, `${said} `, ...words.flatMap((word) => [make("s", {}, word), " "]))];
}

class Words {
  constructor(root, props, changed) {
    this.props = props;
    this.changed = changed;
    this.groups = null;
    this.told = make("span", { class: "told", role: "status", "aria-live": "polite" });
    this.list = make("div", { class: "groups" });
    this.known = make("details", { class: "known", hidden: "" }, make("summary", {}, "Words it knows"), this.list);
    root.replaceChildren(this.told, this.known);
    this.listen();
  }

  /** Native events come for whatever way a field was changed by a person, and for no other change. */
  listen() {
    const { fields, at_once } = this.props;
    const waits = (event) => event.target.closest?.(fields.join()) && this.wait();
    document.addEventListener("input", waits);
    document.addEventListener("mcm-changed", () => this.wait(0));
    const sent = ({ target }) => target.closest?.(at_once.join()) && clearTimeout(this.timer);
    document.addEventListener("click", sent, true);
    document.addEventListener("pointerdown", ({ target }) => !this.known.contains(target) && (this.known.open = false));
    this.known.addEventListener("keydown", ({ key }) => key === "Escape" && (this.known.open = false));
    const isSubmit = (event) => event.key === "Enter" && !event.shiftKey && event.target.matches?.(this.props.prompt);
    document.addEventListener("keydown", (event) => isSubmit(event) && clearTimeout(this.timer), true);
  }

  wait(pause = PAUSE_MS) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.changed({ revision: nextChange(latestChange()) }), pause);
  }

  show() {
    const { unknown = [], vocabulary = null } = this.props.value || {};
    this.told.replaceChildren(...marked("Not understood:", unknown));
    this.told.title = this.told.textContent;
    this.known.hidden = !vocabulary;
    const groups = JSON.stringify(vocabulary);
    if (groups === this.groups) return;
    this.groups = groups;
    const rows = Object.entries(vocabulary || {}).map(([name, words]) => this.group(name, words));
    this.list.replaceChildren(...rows);
  }

  group(name, words) {
    const buttons = words.map((word) => button(word, () => this.insert(word), { class: "word" }));
    return make("section", { "aria-label": name }, make("b", {}, name), make("div", {}, ...buttons));
  }

  /** As if it had been typed where the cursor is. */
  insert(word) {
    const field = document.querySelector(this.props.prompt);
    if (!field || field.disabled) return;
    const { value, selectionStart: from, selectionEnd: to } = field;
    const [before, after] = [value.slice(0, from), value.slice(to)];
    const gap = (text, at) => (text && text.at(at) !== " " ? " " : "");
    field.setRangeText(gap(before, -1) + word + gap(after, 0), from, to, "end");
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

export function mount({ element, trigger, props, watch }) {
  const words = new Words(element.querySelector(".mcm-words"), props, (change) => trigger("changed", change));
  watch("value", () => words.show());
  words.show();
}

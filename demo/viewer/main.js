// Puts the panels together.

import { button, make, roving } from "../dom.js";
import { ActionPanel } from "./action.js";
import { ComparePanel } from "./compare.js";
import { FollowedPanel } from "./followed.js";
import { nameOf, partsOf } from "./parts.js";
import { ResultPanel } from "./result.js";
import { RowPanel } from "./row.js";
import { hasPicture, isBusy, NOTHING, shownAfter } from "./state.js";

const TITLES = {
  result: "Result",
  compare: "Compare",
  action: "What it did",
  followed: "How it followed",
  row: "Row",
};

/**
 * The stage says which view it shows: `data-state`, `data-run` and, while a picture forms, `data-step`. The page's body
 * says with `data-busy` whether something is being painted, on which Generate and Stop take turns, and with `data-turn`
 * which request was answered last.
 */
class Viewer {
  constructor(root, ratio, trigger) {
    this.trigger = trigger;
    this.tab = "result";
    this.view = NOTHING;
    this.selected = 0;
    this.previews = [];
    this.panels = {
      result: new ResultPanel(this),
      compare: new ComparePanel(this),
      action: new ActionPanel(this),
      followed: new FollowedPanel(this),
      row: new RowPanel(this),
    };
    this.makeTabs();
    this.stage = make("div", { class: "stage", role: "tabpanel", id: "mcm-stage", "aria-label": TITLES.result });
    this.bar = make("div", { class: "bar" });
    this.below = make("div", { class: "below" });
    this.saying = make("div", { class: "tag said", "aria-hidden": "true" });
    this.heard = make("div", { class: "heard", role: "status", "aria-live": "polite" });
    this.body = make("div", { class: "body", "--ratio": ratio }, this.stage, this.below, this.saying);
    this.stage.addEventListener("load", ({ target }) => this.shape(target), true);
    root.replaceChildren(this.tabs, this.body, this.bar, this.heard);
    this.refresh();
  }

  makeTabs() {
    this.tabs = make("div", { class: "tray tabs", role: "tablist", "aria-label": "Views of the picture" });
    for (const [tab, title] of Object.entries(TITLES)) {
      const attributes = { role: "tab", "data-tab": tab, "aria-controls": "mcm-stage" };
      this.tabs.append(button(title, () => this.open(tab), attributes));
    }
    this.tabStop = roving(this.tabs);
  }

  /** The stage takes the shape of the pictures on it. */
  shape({ naturalWidth, naturalHeight }) {
    this.body.style.setProperty("--ratio", naturalWidth / naturalHeight);
    this.body.classList.toggle("tall", naturalWidth < 0.8 * naturalHeight);
  }

  open(tab) {
    this.tab = tab;
    this.saying.textContent = "";
    this.refresh();
    if (tab === "compare") this.compare();
  }

  /** Asks for the picture that is to be compared with, if it is not there. */
  compare() {
    const part = this.panels.compare.missing(this.view);
    if (part !== null) this.trigger("compare", { part });
  }

  /** Shows what the picture is without a part of its drawing. */
  takeAway(key) {
    this.panels.compare.choose(partsOf(this.view).some((part) => part.key === key) ? key : "drawing");
    this.tabs.querySelector("[data-tab=compare]").focus();
  }

  /** Says over the picture, and aloud, what has come of an action. */
  say(text) {
    this.saying.textContent = this.heard.textContent = text;
  }

  select(index) {
    this.selected = index;
    this.refresh();
  }

  /** Takes over a view from Python, if it has something to say. */
  take(arrived) {
    if (arrived?.larger) return this.save(arrived.larger);
    const view = shownAfter(this.view, arrived);
    if (view === this.view) return;
    if (view.run !== this.view.run) Object.assign(this, { selected: 0, previews: [] });
    if (view.state === "running") this.previews[view.step] = view.previews;
    const isFinished = view.state === "done" && this.view.state !== "comparing";
    this.tell(view);
    if (view.state !== this.view.state) this.saying.textContent = "";
    this.view = view;
    this.refresh();
    if (isFinished) this.open(this.tab); // the tab Compare asks for what it lacks
  }

  tell({ state, message }) {
    if (state === this.view.state) return;
    const told = { waiting: "Waiting in line", running: "Painting", done: "The picture is ready", stopped: "Stopped" }[
      state
    ];
    this.heard.textContent = state === "failed" ? message : told || "";
  }

  /** Saves a file that was made for this. */
  save({ url, orig_name }) {
    make("a", { href: url, download: orig_name }).click();
    this.say(`Saved as ${orig_name}`);
  }

  // -- what is seen -----------------------------------------------------------------------------------------

  refresh() {
    for (const tab of this.tabs.children) {
      const isOpen = tab.dataset.tab === this.tab;
      tab.setAttribute("aria-selected", String(isOpen));
      if (isOpen) this.tabStop(tab);
    }
    const { state, run = 0, step = "" } = this.view;
    const picture = this.picture();
    const showing = this.isDrafted() ? this.drafted() : picture ? this.finished(picture) : this.unfinished();
    if (this.stage.firstChild !== showing.node) this.stage.replaceChildren(showing.node);
    this.bar.replaceChildren(this.statusLine(), ...(showing.controls ? [showing.controls] : []));
    this.below.replaceChildren(...(showing.below ? [showing.below] : []));
    Object.assign(this.stage.dataset, { state, run, step });
    this.stage.setAttribute("aria-label", TITLES[this.tab]);
    handOver(isBusy(this.view));
    document.body.dataset.turn = this.view.turn;
  }

  /** The view whose finished picture is seen; null where there is none, or where a picture forms in its place. */
  picture() {
    const { view } = this;
    if (hasPicture(view)) return view;
    const forms = (view.state === "running" && !view.live) || (view.state === "stopped" && this.previews.length > 0);
    return forms ? null : view.last;
  }

  /** A draft is seen until a picture forms or is finished in its place. */
  isDrafted() {
    const { draft, state, live } = this.view;
    return Boolean(draft) && this.tab === "result" && !(state === "running" && !live);
  }

  drafted() {
    const { result } = this.panels;
    result.form([this.view.draft]);
    return { node: result.node };
  }

  unfinished() {
    const { state, message } = this.view;
    const { result } = this.panels;
    const last = state === "running" ? this.view.previews : this.previews.at(-1);
    if (["running", "stopped"].includes(state) && last) {
      result.form(last);
      return { node: result.node };
    }
    const texts = { idle: "Your picture appears here", waiting: "Getting ready", stopped: "Stopped", failed: message };
    return { node: make("p", { class: state === "failed" ? "hint failed" : "hint" }, texts[state] || "") };
  }

  finished(view) {
    const panel = this.panels[this.tab];
    const selected = Math.min(this.selected, view.pictures.length - 1);
    panel.prepare?.(view);
    if (this.tab === "compare" && panel.isForming(view)) {
      panel.form(view, view.previews, selected);
      return panel;
    }
    const reason = panel.reason(view);
    if (reason === null) {
      panel.show(view, selected, this.previews);
      return panel;
    }
    const node = reason ? make("p", { class: "hint" }, reason) : this.offer();
    return panel.prepare ? { node, below: panel.below, controls: panel.controls } : { node };
  }

  offer() {
    if (this.view.state === "comparing") return make("p", { class: "hint" }, "Getting ready");
    return make(
      "div",
      { class: "hint" },
      make("p", {}, `The same noise without ${nameOf(this.view, this.panels.compare.part)} has not been painted yet.`),
      button("Paint it", () => this.compare(), { class: "act strong" }),
    );
  }

  /** What is painted beside the finished picture. */
  besides() {
    const { row, part, turn } = this.view;
    if (row?.number === turn) return `Picture ${row.pictures.length + 1} of ${row.names.length}`;
    return `Without ${nameOf(this.view, part)}`;
  }

  statusLine() {
    const { state, step, total, left, place, seconds, note } = this.view;
    const counts = total !== undefined;
    const texts = {
      idle: "",
      draft: "Following your hand",
      waiting: place > 0 ? `In line: ${place} before you` : "Starting",
      running: counts ? `Step ${step + 1} of ${total} · ${time(left)} left` : "Starting",
      comparing: counts ? `${this.besides()}: step ${step + 1} of ${total}` : "Starting",
      done: [seconds ? `Painted in ${time(seconds)}` : "", note || ""].filter(Boolean).join(" · "),
      stopped: counts ? `Stopped at step ${step + 1} of ${total}` : "Stopped",
      failed: this.view.last ? `No new picture. ${this.view.message}` : "No picture",
    };
    const line = make("div", { class: "status" }, make("span", {}, texts[state] ?? ""));
    if (isBusy(this.view)) {
      const bar = make("progress", { max: total || 1, "aria-label": "Progress" });
      bar.value = counts ? step + 1 : 0;
      line.append(bar);
    }
    return line;
  }
}

/** Generate and Stop take turns, and the focus goes with them. */
function handOver(busy) {
  const [shown, hidden] = busy ? ["stop", "go"] : ["go", "stop"];
  const hadFocus = document.activeElement?.id === hidden;
  document.body.dataset.busy = busy;
  if (hadFocus) document.getElementById(shown)?.focus();
}

function time(seconds) {
  if (!(seconds >= 0)) return "…";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

export function mount({ element, trigger, props, watch }) {
  const ratio = (props.width || 1) / (props.height || 1);
  const viewer = new Viewer(element.querySelector(".mcm-viewer"), ratio, trigger);
  watch("value", () => viewer.take(props.value));
  viewer.take(props.value);
}

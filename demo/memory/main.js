// props.value: see demo/memory/__init__.py

import { make } from "../dom.js";
import { put, take } from "../storage.js";
import { watchConnection } from "./connection.js";
import { asked, texts, written } from "./links.js";
import { putPicture, takePicture } from "./pictures.js";

const VISIT = "visit"; // {fields, picture, owed}
const GALLERY = "gallery"; // entries, newest first
const DRAWING = "canvas:drawing"; // the canvas's own
const READ = "mcm-link"; // the address whose wishes have been fulfilled in this tab
const STALE = { drawing: "Of an earlier drawing", words: "Of earlier words" };
const COPIED = "Link copied; it is in the address bar, too";
const COPIED_FROM_FRAME = "Link copied";
const NOT_COPIED = "The link is in the address bar: copy it from there";
const NOT_COPIED_FROM_FRAME = "The browser let no link be copied: open the page by itself, and try again";
const TOO_LARGE = "The drawing is left out, as it is too large for a link: send the picture instead";

class Memory {
  /** gradio: {props, trigger(event, data), upload(file)} */
  constructor(root, gradio) {
    this.root = root;
    this.gradio = gradio;
    this.visit = {};
    this.entries = [];
    this.isLost = false;
    root.setAttribute("role", "status");
    root.setAttribute("aria-live", "polite");
    document.addEventListener("mcm-fields", ({ detail }) => this.keepFields(detail));
    document.addEventListener("mcm-link", ({ detail }) => this.link(detail));
    window.addEventListener("pagehide", () => this.leave());
    watchConnection((isLost) => {
      this.isLost = isLost;
      this.say();
    });
  }

  // -- a page is opened -------------------------------------------------------------------------------------

  async open() {
    const wishes = isRead(location.href) ? null : await asked();
    const kept = wishes ? null : take(VISIT);
    this.visit = kept ? { fields: {}, ...kept } : {};
    this.entries = asEntries(take(GALLERY));
    if (wishes) markRead(location.href);
    const file = kept ? await takePicture(kept.picture) : null;
    const uploaded = file && (await this.gradio.upload(file).catch(() => null));
    this.gradio.trigger("opened", {
      query: wishes ? wishes.query : texts(this.visit.fields || {}),
      drawing: wishes?.drawing ?? null,
      kept: this.entries,
      path: uploaded?.path ?? null,
      is_new: !wishes && !kept && !take(DRAWING),
      owed: Boolean(wishes || kept?.owed),
    });
  }

  // -- what is kept -----------------------------------------------------------------------------------------

  /** What Python has painted or said. */
  take(value) {
    const { stale, shown, ids, kept = [] } = value || {};
    if (stale !== undefined) this.stale = stale;
    if (ids) this.keepEntries(ids, kept);
    if (shown?.url) this.keepPicture(shown.url);
    this.say();
  }

  keepFields(fields) {
    if (document.body.dataset.state !== "ready") return;
    this.visit.fields = fields;
    put(VISIT, this.visit);
  }

  keepEntries(ids, kept) {
    const known = new Map([...this.entries, ...kept].map((entry) => [entry.id, entry]));
    this.entries = ids.map((id) => known.get(id)).filter(Boolean);
    let room = this.entries;
    while (!put(GALLERY, room) && room.length) room = room.slice(0, Math.floor(room.length / 2));
  }

  async keepPicture(url) {
    const picture = await putPicture(url);
    Object.assign(this.visit, { picture });
    put(VISIT, this.visit);
  }

  leave() {
    if (document.body.dataset.state !== "ready") return;
    put(VISIT, { ...this.visit, owed: document.body.dataset.busy === "true" });
  }

  // -- links ------------------------------------------------------------------------------------------------

  async link({ fields, drawing, say }) {
    const { link, isWhole } = await written(fields, drawing);
    history.replaceState(null, "", link);
    markRead(link.href);
    const isCopied = await copied(link.href);
    const isFramed = window.top !== window;
    const done = isCopied ? [COPIED, COPIED_FROM_FRAME] : [NOT_COPIED, NOT_COPIED_FROM_FRAME];
    say([done[Number(isFramed)], ...(isWhole ? [] : [TOO_LARGE])].join(". "));
  }

  // -- what is said -----------------------------------------------------------------------------------------

  say() {
    const text = this.isLost ? "Connection lost, trying again" : STALE[this.stale];
    const kind = this.isLost ? "mark lost" : "mark stale";
    this.root.replaceChildren(...(text ? [make("span", { class: kind }, text)] : []));
  }
}

/** Whether the text went to the clipboard: pages without a certificate have none, and browsers may refuse. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

const asEntries = (kept) => (Array.isArray(kept) ? kept.filter((entry) => entry && typeof entry === "object") : []);

/** Whether this tab has done what the address asks for: its visit has gone on since. */
function isRead(address) {
  try {
    return sessionStorage.getItem(READ) === address;
  } catch {
    return false;
  }
}

function markRead(address) {
  try {
    sessionStorage.setItem(READ, address);
  } catch {
    // A reload opens the link again.
  }
}

export function mount({ element, trigger, props, upload, watch }) {
  const memory = new Memory(element.querySelector(".mcm-memory"), { trigger, props, upload });
  watch("value", () => memory.take(props.value));
  memory.open();
}

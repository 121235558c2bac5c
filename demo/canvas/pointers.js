// Mouse, finger and pen: one pointer draws; two fingers, the wheel, the middle button and Space move the view.

import { whileShown } from "./input.js";

const PALM_MS = 500; // after a pen has touched, fingers are taken for the palm for this long
const PINCH_MS = 300; // a second finger that comes so soon takes back what the first one drew
const ERASER_END = 32; // among the buttons of a pen

const HANDLES = "button, input, textarea, select, a, label, summary, [role=slider], [contenteditable]";

const isErasing = (event) => event.pointerType === "pen" && Boolean(event.buttons & ERASER_END);
const pressure = (event) => (event.pointerType === "pen" && event.pressure > 0 ? 0.4 + 1.2 * event.pressure : 1);

/** Fingers on the stage; two of them pinch. */
class Fingers {
  constructor(view) {
    this.view = view;
    this.places = new Map();
    this.pinch = false;
  }

  /** Their middle and how far they are apart, in shares of the stage. */
  get span() {
    const [a, b] = this.places.values();
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) };
  }

  move(id, place) {
    const before = this.pinch && this.span;
    this.places.set(id, place);
    if (!this.pinch) return;
    const { x, y, apart } = this.span;
    if (before.apart && apart) this.view.zoomBy(apart / before.apart, before);
    this.view.panBy(x - before.x, y - before.y);
  }

  lift(id) {
    this.places.delete(id);
    if (this.places.size < 2) this.pinch = false;
  }
}

/**
 * A pen wins over a finger, and the palm beside it does nothing. A stroke may begin beside the stage: it is drawn from
 * where it comes in, so that a horizon reaches the edge. What a finger does at one place waits until it is lifted, as
 * a second one may come.
 */
export function listenToPointers(stage, editor, hover) {
  let active = null; // {id, isFinger, since, waits: the event of a finger that acts when it is lifted}
  let coming = null; // the last event, outside, of a pointer that was pressed beside the stage
  let penSeen = -Infinity;
  const fingers = new Fingers(stage.view);

  const isPalm = (event) => event.pointerType === "touch" && event.timeStamp - penSeen < PALM_MS;

  const mayBegin = (event) => {
    if (event.button !== 0 && !isErasing(event)) return false;
    if (event.pointerType === "pen") return true;
    return active === null && fingers.places.size < 2 && !isPalm(event);
  };

  const begin = (event, from = event) => {
    const isFinger = event.pointerType === "touch";
    stage.root.focus({ preventScroll: true });
    stage.root.setPointerCapture(event.pointerId);
    active = { id: event.pointerId, isFinger, since: event.timeStamp, waits: null };
    coming = null;
    if (event.altKey) editor.pick(stage.pointAt(event));
    else if (isFinger && editor.tool.once) active.waits = event;
    else editor.begin(stage.pointAt(from), { scale: pressure(event), erases: isErasing(event) });
  };

  const touch = (event) => {
    fingers.places.set(event.pointerId, stage.placeOf(event));
    if (fingers.places.size !== 2) return;
    if (active && (!active.isFinger || event.timeStamp - active.since >= PINCH_MS)) return;
    editor.cancel();
    active = null;
    fingers.pinch = true;
  };

  stage.root.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button")) return;
    if (event.pointerType === "pen") penSeen = event.timeStamp;
    if (event.pointerType === "touch" && !isPalm(event)) touch(event);
    if (!mayBegin(event)) return;
    event.preventDefault();
    begin(event);
  });

  whileShown(stage.root, {
    pointerdown: (event) => {
      const isFree = !stage.root.contains(event.target) && !event.target.closest(HANDLES);
      coming = isFree && event.pointerType !== "touch" && mayBegin(event) ? event : null;
    },
    pointermove: (event) => {
      if (coming?.pointerId !== event.pointerId) return;
      const isInside = stage.root.contains(event.target);
      if (!(event.buttons & (1 | ERASER_END)) || (isInside && editor.tool.once)) coming = null;
      else if (!isInside) coming = event;
      else {
        getSelection()?.removeAllRanges();
        begin(event, coming);
        editor.extend(stage.pointAt(event), pressure(event));
      }
    },
  });

  stage.root.addEventListener("pointermove", (event) => {
    hover(event.pointerType === "touch" ? null : stage.pointAt(event));
    if (fingers.places.has(event.pointerId)) fingers.move(event.pointerId, stage.placeOf(event));
    if (event.pointerId !== active?.id) return;
    if (event.pointerType === "pen") penSeen = event.timeStamp;
    const moves = event.getCoalescedEvents();
    const all = moves.length ? moves : [event];
    all.forEach((move, index) => editor.extend(stage.pointAt(move), pressure(move), index === all.length - 1));
  });

  const release = (event) => {
    fingers.lift(event.pointerId);
    if (event.pointerId !== active?.id) return;
    const { waits } = active;
    active = null;
    if (event.type !== "pointerup") editor.cancel();
    else if (waits) editor.begin(stage.pointAt(waits));
    else editor.end();
  };
  stage.root.addEventListener("pointerup", release);
  stage.root.addEventListener("pointercancel", release);
  stage.root.addEventListener("pointerleave", () => hover(null));
  stage.root.addEventListener("contextmenu", (event) => event.preventDefault());
}

/** Pixels of the wheel that zoom by a factor of e, and how many of them one event may count for. */
const WHEEL_PX = 100;
const NOTCH_PX = 25;

/** The wheel with Ctrl or Cmd (and so a pinch on a trackpad) zooms where the pointer is; zoomed, it pans without. */
export function listenToWheel(stage) {
  const zoom = (event) => {
    const by = Math.min(NOTCH_PX, Math.max(-NOTCH_PX, event.deltaY));
    stage.view.zoomBy(Math.exp(-by / WHEEL_PX), stage.placeOf(event));
  };
  const pan = (event) => stage.view.panBy(-event.deltaX / stage.root.clientWidth, -event.deltaY / stage.root.clientHeight);
  const turn = (event) => {
    const zooms = event.ctrlKey || event.metaKey;
    if (!zooms && !stage.view.isZoomed) return;
    event.preventDefault();
    (zooms ? zoom : pan)(event);
  };
  stage.root.addEventListener("wheel", turn, { passive: false });
}

/** The middle button moves the view, and so does any while Space is held over the stage. Listens before what draws. */
export function listenToGrip(stage) {
  let isHeld = false;
  let grip = null; // {id, place}

  const show = () => stage.root.classList.toggle("gripped", isHeld || grip !== null);
  const hold = (event, isDown) => {
    if (event.key !== " ") return;
    const focus = document.activeElement;
    const isOurs = stage.isUnderPointer && (focus === document.body || focus === stage.root);
    if (isDown && (!isOurs || event.defaultPrevented)) return;
    if (isDown) event.preventDefault();
    isHeld = isDown;
    show();
  };
  whileShown(stage.root, { keydown: (event) => hold(event, true), keyup: (event) => hold(event, false) });

  const notice = ({ type, pointerType }) => (stage.isUnderPointer = type === "pointermove" && pointerType !== "touch");
  for (const kind of ["pointermove", "pointerleave", "focus"]) stage.root.addEventListener(kind, notice);

  const take = (event) => {
    if (event.pointerType === "touch" || (event.button !== 1 && !isHeld)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    stage.root.setPointerCapture(event.pointerId);
    grip = { id: event.pointerId, place: stage.placeOf(event) };
    show();
  };
  const drag = (event) => {
    if (event.pointerId !== grip?.id) return;
    const place = stage.placeOf(event);
    stage.view.panBy(place.x - grip.place.x, place.y - grip.place.y);
    grip.place = place;
  };
  const loose = (event) => {
    if (event.pointerId !== grip?.id) return;
    grip = null;
    show();
  };
  const handlers = { pointerdown: take, pointermove: drag, pointerup: loose, pointercancel: loose };
  for (const [kind, handle] of Object.entries(handlers)) stage.root.addEventListener(kind, handle);
}

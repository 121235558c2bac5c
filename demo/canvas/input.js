// Keys and dropped files, turned into calls of the editor.

import { actionOf } from "./actions.js";

const KEY_STEP = 4;
const KEY_LEAP = 32;

/** Listens on the document for as long as a node is part of it: {kind of event: handler}. */
export function whileShown(node, handlers) {
  for (const [kind, handle] of Object.entries(handlers)) {
    document.addEventListener(kind, function listen(event) {
      if (node.isConnected) handle(event);
      else document.removeEventListener(kind, listen);
    });
  }
}

/**
 * The crosshair: arrows move it, Space draws; under a mouse that has moved, only once the crosshair is there. A shape
 * begins at the first Space and ends at the second.
 */
export function listenToArrows(stage, editor, moved, say) {
  let at = null;

  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const within = (value, size) => Math.min(size - 1, Math.max(0, value));

  const go = ([dx, dy], step) => {
    const { width, height } = stage.drawing;
    at = at || { x: width >> 1, y: height >> 1 };
    at = { x: within(at.x + dx * step, width), y: within(at.y + dy * step, height) };
    moved(at);
    editor.extend(at);
    say(`${at.x}, ${at.y}`);
  };

  const press = () => {
    if (!at) go([0, 0], 0);
    if (editor.stroke) {
      editor.end();
      return;
    }
    editor.begin(at);
    say(`${editor.tool.name} at ${at.x}, ${at.y}${editor.stroke && editor.tool.follows ? ", Space again to end" : ""}`);
  };

  stage.root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (arrows[event.key]) go(arrows[event.key], event.shiftKey ? KEY_LEAP : KEY_STEP);
    else if (event.key === " " && (at || !stage.isUnderPointer)) event.repeat || press();
    else if (event.key === "Escape" && editor.stroke) editor.cancel();
    else return;
    event.preventDefault();
  });
  stage.root.addEventListener("keyup", (event) => {
    if (event.key === " " && editor.stroke && !editor.tool.follows) editor.end();
  });
  stage.root.addEventListener("blur", () => {
    editor.end();
    moved(null);
  });
  stage.root.addEventListener("pointerdown", () => moved((at = null)));
}

/** Keys of actions; they act while the focus is in `root`, on a button or nowhere, never while someone writes. */
export function listenToKeys(root, editor, classes) {
  const ours = (event) => {
    const focus = document.activeElement;
    const here = root.contains(focus) || focus === document.body || focus.matches("button");
    return here && root.offsetParent !== null && !root.closest("[inert]") && !event.defaultPrevented;
  };

  const keydown = (event) => {
    if (!ours(event) || (event.altKey && !event.ctrlKey && !event.metaKey)) return;
    const action = actionOf(event, editor, classes());
    if (!action) return;
    action.run(editor);
    event.preventDefault();
  };
  whileShown(root, { keydown });
}

const PICTURE = /\.(png|jpe?g|webp|avif|gif|bmp|tiff?|ppm)$/i;

/** The first picture of a list of files, or null. Some systems name no type. */
function pictureIn(files) {
  return [...files].find(({ type, name }) => (type ? type.startsWith("image/") : PICTURE.test(name))) ?? null;
}

/** A picture file that is dropped or pasted anywhere on the page goes to `take(file)`; null is no picture. */
export function listenToFiles(stage, take) {
  const mark = (isOver) => stage.root.classList.toggle("over", isOver);
  const hasFile = (transfer) => [...(transfer?.types ?? [])].includes("Files");
  const handlers = {
    dragover: (event) => {
      if (!hasFile(event.dataTransfer)) return;
      event.preventDefault();
      mark(true);
    },
    dragleave: (event) => mark(Boolean(event.relatedTarget)),
    drop: (event) => {
      if (!hasFile(event.dataTransfer)) return;
      event.preventDefault();
      mark(false);
      take(pictureIn(event.dataTransfer.files));
    },
    paste: (event) => {
      if (!hasFile(event.clipboardData)) return;
      event.preventDefault();
      take(pictureIn(event.clipboardData.files));
    },
  };
  whileShown(stage.root, handlers);
}

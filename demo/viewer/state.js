// Which of the views that arrive is shown. They may come late and in any order: from a run that was stopped, from one
// that a newer run has replaced, over several connections.

const BUSY = ["waiting", "running", "comparing"];
const ENDED = ["done", "stopped", "failed"];

export const isBusy = ({ state }) => BUSY.includes(state);

/** A view that shows a finished picture, whatever is being done beside it. */
export const hasPicture = ({ state }) => state === "done" || state === "comparing";

export const NOTHING = { state: "idle", turn: 0, run: 0, last: null, draft: null, row: null };

/**
 * The view that is shown after `view` has arrived while `shown` was: either one of them. Turns grow from request to
 * request, and one that has ended says nothing more. `last` is the finished picture before this turn, or null: it stays
 * until a better one is there, and no error takes it away. `draft` is the newest one, until a picture is finished.
 * `row` is the last row of pictures that vary in one thing: it stays until there is another.
 */
export function shownAfter(shown, view) {
  if (!view || !(view.turn >= shown.turn)) return shown;
  const isSame = view.turn === shown.turn;
  if (isSame && ENDED.includes(shown.state)) return shown;
  if (isSame && view.state === "draft" && isBusy(shown)) return shown;
  if (isSame && view.state === "running" && shown.state === "running" && view.step <= shown.step) return shown;
  if (isSame && view.state === "waiting" && shown.state === "running") return shown;
  const last = hasPicture(shown) ? { ...shown, state: "done", last: null } : shown.last;
  const isCutShort = isSame && view.state === "stopped" && shown.state === "running";
  const progress = isCutShort ? { step: shown.step, total: shown.total } : {};
  const draft = view.draft ?? shown.draft ?? null;
  const row = view.row ?? shown.row;
  return { ...progress, ...view, row, ...(hasPicture(view) ? { last: null, draft: null } : { last, draft }) };
}

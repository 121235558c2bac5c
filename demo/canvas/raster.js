// Exact ids on a pixel grid: strokes, shapes and run-length text, all by integer arithmetic.
//
// What draws returns the rectangle that it touched, or null. Nothing here knows the DOM.

/**
 * @typedef {{width: number, height: number, data: Uint8Array}} Grid Row-major ids, 0 = nothing drawn.
 * @typedef {{x: number, y: number}} Point In whole pixels; it may lie outside of the grid.
 * @typedef {{x0: number, y0: number, x1: number, y1: number}} Rect Half open.
 */

function clip(grid, x0, y0, x1, y1) {
  const rect = {
    x0: Math.max(0, x0),
    y0: Math.max(0, y0),
    x1: Math.min(grid.width, x1),
    y1: Math.min(grid.height, y1),
  };
  return rect.x0 < rect.x1 && rect.y0 < rect.y1 ? rect : null;
}

export function union(a, b) {
  if (!a || !b) return a || b;
  return {
    x0: Math.min(a.x0, b.x0),
    y0: Math.min(a.y0, b.y0),
    x1: Math.max(a.x1, b.x1),
    y1: Math.max(a.y1, b.y1),
  };
}

export function whole(grid) {
  return { x0: 0, y0: 0, x1: grid.width, y1: grid.height };
}

/** The indices of a rectangle's pixels, row by row, in a grid of that width. */
export function* pixelsOf(rect, width) {
  for (let y = rect.y0; y < rect.y1; y++) {
    for (let x = rect.x0; x < rect.x1; x++) yield y * width + x;
  }
}

/** A straight stroke of a round brush: all pixels whose centre is less than size / 2 from the segment. */
export function drawSegment(grid, from, to, size, id) {
  const reach = size >> 1;
  const rect = clip(
    grid,
    Math.min(from.x, to.x) - reach,
    Math.min(from.y, to.y) - reach,
    Math.max(from.x, to.x) + reach + 1,
    Math.max(from.y, to.y) + reach + 1,
  );
  if (!rect) return null;
  const near = nearSegment(from, to, size);
  for (let y = rect.y0; y < rect.y1; y++) {
    for (let x = rect.x0; x < rect.x1; x++) if (near(x, y)) grid.data[y * grid.width + x] = id;
  }
  return rect;
}

/** (x, y) -> is it less than size / 2 from the segment? Multiplied out, so that all terms are integers. */
function nearSegment(from, to, size) {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length2 = dx * dx + dy * dy;
  const limit = size * size;
  return (x, y) => {
    const px = x - from.x;
    const py = y - from.y;
    const along = px * dx + py * dy;
    if (along <= 0) return 4 * (px * px + py * py) < limit;
    if (along >= length2) return 4 * ((x - to.x) ** 2 + (y - to.y) ** 2) < limit;
    return 4 * (px * dy - py * dx) ** 2 < limit * length2;
  };
}

/** A filled box with both corners in it. */
export function drawBox(grid, from, to, id) {
  const rect = clip(
    grid,
    Math.min(from.x, to.x),
    Math.min(from.y, to.y),
    Math.max(from.x, to.x) + 1,
    Math.max(from.y, to.y) + 1,
  );
  if (!rect) return null;
  for (let y = rect.y0; y < rect.y1; y++) {
    grid.data.fill(id, y * grid.width + rect.x0, y * grid.width + rect.x1);
  }
  return rect;
}

/** The ellipse that fills the box with both corners in it. */
export function drawEllipse(grid, from, to, id) {
  const [left, right] = [Math.min(from.x, to.x), Math.max(from.x, to.x)];
  const [top, bottom] = [Math.min(from.y, to.y), Math.max(from.y, to.y)];
  const rect = clip(grid, left, top, right + 1, bottom + 1);
  if (!rect) return null;
  const [wide2, high2] = [(right - left + 1) ** 2, (bottom - top + 1) ** 2];
  for (let y = rect.y0; y < rect.y1; y++) {
    const rest = wide2 * (high2 - (2 * y - top - bottom) ** 2);
    for (let x = rect.x0; x < rect.x1; x++) {
      if (high2 * (2 * x - left - right) ** 2 <= rest) grid.data[y * grid.width + x] = id;
    }
  }
  return rect;
}

/** What a closed path goes around (not wound to nothing), and the path itself. */
export function drawPolygon(grid, path, id) {
  const edges = path.map((from, index) => ({ from, to: path[(index + 1) % path.length] }));
  let rect = null;
  for (const { from, to } of edges) rect = union(rect, drawSegment(grid, from, to, 1, id));
  if (!rect) return null;
  const ys = path.map(({ y }) => y);
  const top = Math.max(0, Math.min(...ys));
  const bottom = Math.min(grid.height - 1, Math.max(...ys));
  for (let y = top; y <= bottom; y++) rect = union(rect, fillRow(grid, edges, y, id));
  return rect;
}

function fillRow(grid, edges, y, id) {
  const crossings = [];
  for (const { from, to } of edges) {
    if (from.y <= y === to.y <= y) continue;
    const x = from.x + ((y - from.y) * (to.x - from.x)) / (to.y - from.y);
    crossings.push({ x, turn: from.y < to.y ? 1 : -1 });
  }
  crossings.sort((a, b) => a.x - b.x);
  let rect = null;
  let winding = 0;
  crossings.forEach(({ x, turn }, index) => {
    winding += turn;
    if (!winding) return;
    const span = clip(grid, Math.ceil(x), y, Math.floor(crossings[index + 1].x) + 1, y + 1);
    if (!span) return;
    grid.data.fill(id, y * grid.width + span.x0, y * grid.width + span.x1);
    rect = union(rect, span);
  });
  return rect;
}

export function mirrorRows(grid) {
  for (let row = 0; row < grid.data.length; row += grid.width) {
    grid.data.subarray(row, row + grid.width).reverse();
  }
  return whole(grid);
}

/** For each of `to` pixels in a row, [first, end) of the `from` pixels that it stands for. */
function footprints(from, to, keepLines) {
  return Array.from({ length: to }, (_, i) => {
    if (keepLines && to < from) return [Math.floor((i * from) / to), Math.ceil(((i + 1) * from) / to)];
    const nearest = Math.floor(((2 * i + 1) * from) / (2 * to));
    return [nearest, nearest + 1];
  });
}

/** Nearest neighbour; with `keepLines`, no stroke gets lost where the grid shrinks. */
export function resample(grid, width, height, keepLines) {
  const data = new Uint8Array(width * height);
  const columns = footprints(grid.width, width, keepLines);
  const rows = footprints(grid.height, height, keepLines);
  let at = 0;
  for (const [y0, y1] of rows) {
    for (const [x0, x1] of columns) {
      for (let y = y0; y < y1; y++) {
        for (let x = x0; x < x1; x++) data[at] = Math.max(data[at], grid.data[y * grid.width + x]);
      }
      at++;
    }
  }
  return { width, height, data };
}

/** Runs "IDxCOUNT,IDxCOUNT,..."; "" where nothing is drawn. */
export function encodeRuns(data) {
  const runs = [];
  let start = 0;
  for (let i = 1; i <= data.length; i++) {
    if (i < data.length && data[i] === data[start]) continue;
    runs.push(data[start] + "x" + (i - start));
    start = i;
  }
  return runs.length === 1 && data[0] === 0 ? "" : runs.join(",");
}

/** A Uint8Array of `length` ids, or null where the text is damaged; ids beyond `lastId` become 0. */
export function decodeRuns(text, length, lastId) {
  if (typeof text !== "string") return null;
  const data = new Uint8Array(length);
  if (!text) return data;
  let at = 0;
  for (const run of text.split(",")) {
    const match = /^([0-9]{1,3})x([0-9]{1,9})$/.exec(run);
    const count = match ? Number(match[2]) : 0;
    if (count < 1 || at + count > length) return null;
    const id = Number(match[1]);
    data.fill(id <= lastId ? id : 0, at, at + count);
    at += count;
  }
  return at === length ? data : null;
}

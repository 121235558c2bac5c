// Filling: the region around a point, bounded by other labels and by the strokes of the sketch, small gaps closed.

import { union } from "./raster.js";

const REACH = 2; // a gap of up to twice as many pixels is closed
const UNDER = 3; // so far a fill goes on under the strokes that bound it
const SEARCH = 8; // so far from the press a region is looked for
const DISC = [];
for (let y = -REACH; y <= REACH; y++) {
  for (let x = -REACH; x <= REACH; x++) if (x * x + y * y <= REACH * REACH + 1) DISC.push([x, y]);
}

/** Calls visit(x, y, pixel) for the places around a pixel that lie in the grid. */
function around({ width, height }, pixel, offsets, visit) {
  const x = pixel % width;
  const y = (pixel - x) / width;
  for (const [dx, dy] of offsets) {
    const [nx, ny] = [x + dx, y + dy];
    if (nx >= 0 && ny >= 0 && nx < width && ny < height) visit(ny * width + nx);
  }
}

/** Has one of a pixel's four neighbours that value? Only the rim of an area needs to be looked at further. */
function touches({ width, height }, pixel, values, value) {
  const x = pixel % width;
  return (
    (x > 0 && values[pixel - 1] === value) ||
    (x < width - 1 && values[pixel + 1] === value) ||
    (pixel >= width && values[pixel - width] === value) ||
    (pixel < width * (height - 1) && values[pixel + width] === value)
  );
}

const SIDES = [
  [-1, 0],
  [1, 0],
  [0, -1],
  [0, 1],
];

/** The pixels that are 4-connected with `start` where isOpen(pixel); `seen` marks them and bars those marked before. */
function spread(grid, start, isOpen, seen) {
  const found = [start];
  seen[start] = 1;
  for (let at = 0; at < found.length; at++) {
    around(grid, found[at], SIDES, (next) => {
      if (seen[next] || !isOpen(next)) return;
      seen[next] = 1;
      found.push(next);
    });
  }
  return found;
}

/** The nearest pixel that is `wanted`, so many steps away at most over pixels where mayPass(pixel); null is none. */
function nearest(grid, pixel, wanted, steps, mayPass) {
  const seen = new Set([pixel]);
  let rim = [pixel];
  for (let step = 0; step <= steps; step++) {
    const next = [];
    for (const place of rim) {
      if (wanted[place]) return place;
      around(grid, place, SIDES, (near) => {
        if (seen.has(near) || !mayPass(near)) return;
        seen.add(near);
        next.push(near);
      });
    }
    rim = next;
  }
  return null;
}

/** 1 for the places where a ball of radius REACH lies wholly on open ground, as at the walls and at the edge it does not. */
function roomForBall(grid, open) {
  const { width, height } = grid;
  const room = open.slice();
  const isInside = (x, y) => x >= REACH && y >= REACH && x < width - REACH && y < height - REACH;
  for (let pixel = 0; pixel < open.length; pixel++) {
    const x = pixel % width;
    if (!isInside(x, (pixel - x) / width)) room[pixel] = 0;
    if (!open[pixel] && touches(grid, pixel, open, 1)) around(grid, pixel, DISC, (near) => (room[near] = 0));
  }
  return room;
}

function indicesOf(marks) {
  const found = [];
  marks.forEach((mark, pixel) => mark && found.push(pixel));
  return found;
}

/** 1 for the places that balls around these centres cover; `room` says where else a ball could be. */
function cover(grid, centres, room) {
  const covered = new Uint8Array(room.length);
  for (const centre of centres) {
    if (touches(grid, centre, room, 0)) around(grid, centre, DISC, (pixel) => (covered[pixel] = 1));
    else covered[centre] = 1;
  }
  return covered;
}

/**
 * The region: what a ball wider than the gaps covers as it rolls over the open ground from `start`, with the corners
 * where it does not fit. A strip too narrow for it is filled as far as it is narrow.
 */
function region(grid, start, open) {
  const room = roomForBall(grid, open);
  const first = nearest(grid, start, room, 2 * REACH, (pixel) => open[pixel]);
  if (first === null) {
    const wide = cover(grid, indicesOf(room), room);
    return spread(grid, start, (pixel) => open[pixel] && !wide[pixel], new Uint8Array(open.length));
  }
  const centres = spread(grid, first, (pixel) => room[pixel], new Uint8Array(open.length));
  const seen = cover(grid, centres, room);
  const pixels = indicesOf(seen);
  const corners = [];
  for (const pixel of pixels) {
    if (!touches(grid, pixel, seen, 0)) continue;
    around(grid, pixel, SIDES, (next) => {
      if (seen[next] || !open[next]) return;
      const corner = spread(grid, next, (other) => open[other], seen);
      if (!corner.some((other) => room[other])) corners.push(...corner);
    });
  }
  return pixels.concat(corners);
}

/** What of the bounding strokes lies within UNDER pixels of the region, so that no seam shows beneath them. */
function beneath(grid, pixels, isStroke) {
  const seen = new Set(pixels);
  let rim = pixels;
  for (let step = 0; step < UNDER; step++) {
    const next = [];
    for (const pixel of rim) {
      around(grid, pixel, SIDES, (near) => {
        if (seen.has(near) || !isStroke(near)) return;
        seen.add(near);
        next.push(near);
      });
    }
    rim = next;
  }
  return [...seen];
}

/**
 * The region around a point becomes `id`. Walls are other labels and the pixels of `sketch`, a grid of the same size;
 * gaps of up to 4 pixels in them are closed.
 */
export function fillRegion(grid, at, id, sketch) {
  const { width, height, data } = grid;
  if (at.x < 0 || at.y < 0 || at.x >= width || at.y >= height) return null;
  const pressed = at.y * width + at.x;
  const old = data[pressed];
  if (old === id) return null;
  const open = data.map((label, pixel) => (label === old && !sketch.data[pixel] ? 1 : 0));
  const start = nearest(grid, pressed, open, SEARCH, () => true); // the hand may have met the outline
  if (start === null) return null;
  const isStroke = (pixel) => sketch.data[pixel] > 0 && data[pixel] === old;
  let rect = null;
  for (const pixel of beneath(grid, region(grid, start, open), isStroke)) {
    data[pixel] = id;
    const x = pixel % width;
    const y = (pixel - x) / width;
    if (rect && x >= rect.x0 && x < rect.x1 && y >= rect.y0 && y < rect.y1) continue;
    rect = union(rect, { x0: x, y0: y, x1: x + 1, y1: y + 1 });
  }
  return rect;
}

// The drawing enlarged for the eye: steps of its pixels become curves. What is kept and sent stays as it is.

/** A rectangle is to be redrawn by so many pixels more than what has changed in it. */
export const REACH = 2;
const SIDE = 2 * REACH + 1;
const SIGMA = 1.15;

/** Gaussian weights of the SIDE pixels around a place that is `at` (-0.5 to 0.5) from the middle of its own. */
function taps(at) {
  const weights = Array.from({ length: SIDE }, (_, n) => Math.exp(-(((n - REACH - at) / SIGMA) ** 2) / 2));
  const sum = weights.reduce((all, weight) => all + weight);
  return weights.map((weight) => weight / sum);
}

/** The ids of SIDE x SIDE pixels around one, those at the border going on beyond it. */
function look({ width, height, data }, x, y, ids) {
  let at = 0;
  for (let dy = -REACH; dy <= REACH; dy++) {
    const row = Math.min(height - 1, Math.max(0, y + dy)) * width;
    for (let dx = -REACH; dx <= REACH; dx++) ids[at++] = data[row + Math.min(width - 1, Math.max(0, x + dx))];
  }
}

/** Finds for the places of one pixel after the other the ids that weigh most around them. */
class Smoother {
  constructor(grid, scale) {
    this.grid = grid;
    this.scale = scale;
    this.taps = Float64Array.from(Array.from({ length: scale }, (_, step) => taps((step + 0.5) / scale - 0.5)).flat());
    this.ids = new Uint8Array(SIDE * SIDE);
    this.rows = new Float64Array(SIDE * scale);
    this.sums = new Float64Array(scale * scale);
    this.most = new Float64Array(scale * scale);
    this.places = new Uint8Array(scale * scale);
    const halves = [scale >> 1, (scale - 1) >> 1];
    this.middle = halves.flatMap((v) => halves.map((u) => v * scale + u));
  }

  /** The weight of an id at each place, into `sums`. */
  weigh(id) {
    const { scale, taps, ids, rows, sums } = this;
    rows.fill(0);
    for (let at = 0; at < ids.length; at++) {
      if (ids[at] !== id) continue;
      const row = Math.floor(at / SIDE);
      for (let u = 0; u < scale; u++) rows[row * scale + u] += taps[u * SIDE + (at % SIDE)];
    }
    for (let v = 0; v < scale; v++) {
      for (let u = 0; u < scale; u++) {
        let sum = 0;
        for (let row = 0; row < SIDE; row++) sum += taps[v * SIDE + row] * rows[row * scale + u];
        sums[v * scale + u] = sum;
      }
    }
  }

  /** Sets `places`; false where the pixel is to stay a square: finer than the smoothing, its middle would be lost. */
  smooth(x, y, own) {
    const { ids, sums, most, places } = this;
    look(this.grid, x, y, ids);
    this.weigh(own);
    places.fill(own);
    most.set(sums);
    const others = [];
    for (const id of ids) if (id !== own && !others.includes(id)) others.push(id);
    for (const id of others) {
      if (others.length > 1) this.weigh(id);
      else for (let place = 0; place < sums.length; place++) sums[place] = 1 - sums[place];
      for (let place = 0; place < places.length; place++) {
        if (sums[place] <= most[place] + 1e-9) continue;
        most[place] = sums[place];
        places[place] = id;
      }
    }
    return this.middle.every((place) => places[place] === own);
  }
}

/**
 * A rectangle of a grid with every pixel as scale x scale places, in colours[id]. At edges a place has the id that
 * weighs most around it; in the middle of a pixel that is always its own.
 */
export function enlarge(grid, rect, scale, colors) {
  const { width, height, data } = grid;
  const across = (rect.x1 - rect.x0) * scale;
  const pixels = new Uint32Array(across * (rect.y1 - rect.y0) * scale);
  const smoother = new Smoother(grid, scale);
  for (let y = rect.y0; y < rect.y1; y++) {
    const here = y * width;
    const above = y > 0 ? here - width : here;
    const below = y < height - 1 ? here + width : here;
    for (let x = rect.x0; x < rect.x1; x++) {
      const own = data[here + x];
      const left = x > 0 ? x - 1 : x;
      const right = x < width - 1 ? x + 1 : x;
      const isEven =
        data[here + left] === own &&
        data[here + right] === own &&
        data[above + x] === own &&
        data[below + x] === own &&
        data[above + left] === own &&
        data[above + right] === own &&
        data[below + left] === own &&
        data[below + right] === own;
      const isSquare = isEven || scale === 1 || !smoother.smooth(x, y, own);
      let at = (y - rect.y0) * scale * across + (x - rect.x0) * scale;
      for (let v = 0; v < scale; v++, at += across) {
        for (let u = 0; u < scale; u++) pixels[at + u] = colors[isSquare ? own : smoother.places[v * scale + u]];
      }
    }
  }
  return pixels;
}

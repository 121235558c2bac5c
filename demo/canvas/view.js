// Which part of the drawing is seen: a zoom and a place. The drawing itself knows nothing of it.

const LARGEST = 16;
const clamp = (value, least, most) => Math.min(most, Math.max(least, value));

/** `zoom` from 1; `x` and `y`: where the sheet's corner lies, as a share of the stage. The sheet covers the stage. */
export class View {
  constructor(shown) {
    this.shown = shown;
    this.zoom = 1;
    this.x = this.y = 0;
  }

  /** Zooms by a factor, so that what is at a place (shares of the stage, 0 to 1) stays there. */
  zoomBy(factor, { x, y } = { x: 0.5, y: 0.5 }) {
    const zoom = clamp(this.zoom * factor, 1, LARGEST);
    const ratio = zoom / this.zoom;
    this.zoom = zoom;
    this.moveTo(x - (x - this.x) * ratio, y - (y - this.y) * ratio);
  }

  /** Pans by shares of the stage. */
  panBy(dx, dy) {
    this.moveTo(this.x + dx, this.y + dy);
  }

  moveTo(x, y) {
    this.x = clamp(x, 1 - this.zoom, 0);
    this.y = clamp(y, 1 - this.zoom, 0);
    this.shown(this);
  }

  reset() {
    this.zoomBy(1 / this.zoom);
  }

  get isZoomed() {
    return this.zoom > 1.001;
  }
}

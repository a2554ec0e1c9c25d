/** @typedef {{x: number, y: number}} Place */

const NEAREST = 16
/** Pixels of the stage around a point that is brought into view. */
const MARGIN = 24

/** Where the sheet lies in the stage: as large as fits, or zoomed in and moved. */
export class View {
  /** @param {HTMLElement} stage @param {HTMLElement} sheet */
  constructor(stage, sheet) {
    this.stage = stage
    this.sheet = sheet
    this.zoom = 1
    this.x = 0
    this.y = 0
    this.width = 1
    this.height = 1
    new ResizeObserver(() => this.apply()).observe(stage)
  }

  /** Follow the drawing's size. @param {number} width @param {number} height */
  resize(width, height) {
    if (width === this.width && height === this.height) return
    this.width = width
    this.height = height
    this.fit()
  }

  /** Show all of the sheet. */
  fit() {
    this.zoom = 1
    this.x = 0
    this.y = 0
    this.apply()
  }

  /** Zoom so that the point under the pointer stays. @param {Place} at in the page @param {number} factor */
  zoomAt(at, factor) {
    const before = this.toDrawing(at)
    this.zoom = Math.min(NEAREST, Math.max(1, this.zoom * factor))
    if (this.zoom === 1) return this.fit()
    this.apply()
    const after = this.toDrawing(at)
    const scale = this.#scale()
    this.move((after.x - before.x) * scale, (after.y - before.y) * scale)
  }

  /** Shift by pixels of the stage. @param {number} dx @param {number} dy */
  move(dx, dy) {
    this.x += dx
    this.y += dy
    this.apply()
  }

  /** Shift by pixels of the page, which a zoomed graph makes larger. @param {number} dx @param {number} dy */
  drag(dx, dy) {
    const ratio = this.stage.offsetWidth / (this.stage.getBoundingClientRect().width || 1)
    this.move(dx * ratio, dy * ratio)
  }

  /** Length of a pixel of the page in pixels of the drawing. */
  get pixel() {
    return this.width / (this.sheet.getBoundingClientRect().width || 1)
  }

  /** Bring a point of the drawing into view. @param {Place} at */
  reveal({ x, y }) {
    const scale = this.#scale()
    const { clientWidth, clientHeight } = this.stage
    const [right, down] = [(x - this.width / 2) * scale + this.x, (y - this.height / 2) * scale + this.y]
    const [far, low] = [Math.max(0, clientWidth / 2 - MARGIN), Math.max(0, clientHeight / 2 - MARGIN)]
    this.move(within(right, far) - right, within(down, low) - down)
  }

  /** A point of the page in pixels of the drawing. @param {Place} at @returns {Place} */
  toDrawing({ x, y }) {
    const box = this.sheet.getBoundingClientRect()
    return {
      x: ((x - box.left) * this.width) / (box.width || 1),
      y: ((y - box.top) * this.height) / (box.height || 1),
    }
  }

  /** Lay the sheet where it belongs, at least a part of it in sight. */
  apply() {
    const { clientWidth, clientHeight } = this.stage
    const scale = this.#scale()
    const [width, height] = [this.width * scale, this.height * scale]
    this.x = within(this.x, Math.max(0, (width - clientWidth) / 2))
    this.y = within(this.y, Math.max(0, (height - clientHeight) / 2))
    this.sheet.style.width = `${width}px`
    this.sheet.style.height = `${height}px`
    const [left, top] = [(clientWidth - width) / 2 + this.x, (clientHeight - height) / 2 + this.y]
    this.sheet.style.transform = `translate(${left}px, ${top}px)`
    this.sheet.classList.toggle("near", scale > 3)
  }

  /** @returns {number} pixels of the stage per pixel of the drawing */
  #scale() {
    const { clientWidth, clientHeight } = this.stage
    return Math.max(0.01, Math.min(clientWidth / this.width, clientHeight / this.height)) * this.zoom
  }
}

/** @type {(value: number, reach: number) => number} */
const within = (value, reach) => Math.min(reach, Math.max(-reach, value))

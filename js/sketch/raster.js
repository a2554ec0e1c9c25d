/**
 * Strokes to pixels, byte for byte as preprocessors/sketch/strokes.py does it: the same double and integer operations
 * in the same order. Change both or neither; tests/browser/test_sketch.py compares them.
 */

/** @typedef {import("./drawing.js").Stroke} Stroke */
/** Columns and rows that changed: from left, top to before right, bottom. */
/** @typedef {{left: number, top: number, right: number, bottom: number}} Box */
/** x, y and radius in pixels. @typedef {[number, number, number]} Point */

const FILL_TOLERANCE = 128

/** The premultiplied RGBA pixels of a drawing and the coverage of the stroke in work. */
export class Raster {
  /** @param {number} width @param {number} height */
  constructor(width, height) {
    this.width = width
    this.height = height
    this.layer = new Uint8Array(width * height * 4)
    this.coverage = new Uint8Array(width * height)
  }

  /**
   * Write how far a stroke covers each pixel; from its point `start` on, when the earlier ones are covered already.
   * @param {Stroke} stroke
   * @param {number} start
   * @returns {Box | null} what was touched
   */
  cover(stroke, start = 0) {
    /** @type {Box | null} */
    let touched = null
    for (const points of mirrored(stroke, this.width, this.height)) {
      if (stroke.tool === "fill") {
        touched = union(touched, this.#flood(points[0]))
        continue
      }
      if (points.length === 1) touched = union(touched, this.#segment(points[0], points[0]))
      for (let index = start; index + 1 < points.length; index++) {
        touched = union(touched, this.#segment(points[index], points[index + 1]))
      }
    }
    return touched
  }

  /**
   * Lay the covered part of a stroke over the layer, or take it out of it, and forget the coverage.
   * @param {Stroke} stroke
   * @param {Box | null} box
   */
  lay(stroke, box) {
    if (!box) return
    const source = sourceOf(stroke)
    for (let row = box.top; row < box.bottom; row++) {
      for (let place = row * this.width + box.left; place < row * this.width + box.right; place++) {
        const amount = this.coverage[place]
        if (!amount) continue
        for (let channel = 0; channel < 4; channel++) {
          const at = place * 4 + channel
          this.layer[at] = over(source[channel], this.layer[at], amount)
        }
        this.coverage[place] = 0
      }
    }
  }

  /** @param {Stroke} stroke @returns {Box | null} */
  draw(stroke) {
    const box = this.cover(stroke)
    this.lay(stroke, box)
    return box
  }

  /** Forget the coverage of a stroke that was not laid. @param {Box | null} box */
  forget(box) {
    if (!box) return
    for (let row = box.top; row < box.bottom; row++) {
      this.coverage.fill(0, row * this.width + box.left, row * this.width + box.right)
    }
  }

  /**
   * Pixels of a box as a canvas takes them (not premultiplied), with the stroke in work lying over the layer.
   * @param {Box} box
   * @param {Stroke | null} stroke
   * @returns {ImageData}
   */
  picture(box, stroke) {
    const image = new ImageData(box.right - box.left, box.bottom - box.top)
    const source = stroke ? sourceOf(stroke) : [0, 0, 0, 0]
    let target = 0
    for (let row = box.top; row < box.bottom; row++) {
      for (let place = row * this.width + box.left; place < row * this.width + box.right; place++, target += 4) {
        const amount = stroke ? this.coverage[place] : 0
        const alpha = over(source[3], this.layer[place * 4 + 3], amount)
        if (!alpha) continue
        for (let channel = 0; channel < 3; channel++) {
          image.data[target + channel] = (over(source[channel], this.layer[place * 4 + channel], amount) * 255) / alpha
        }
        image.data[target + 3] = alpha
      }
    }
    return image
  }

  /**
   * Cover a line with round ends whose radius changes evenly from its first to its second point.
   * @param {Point} first
   * @param {Point} second
   * @returns {Box | null}
   */
  #segment([x, y, radius], [x2, y2, radius2]) {
    const reach = Math.max(radius, radius2) + 1
    const left = Math.max(0, Math.floor(Math.min(x, x2) - reach))
    const right = Math.min(this.width, Math.ceil(Math.max(x, x2) + reach))
    const top = Math.max(0, Math.floor(Math.min(y, y2) - reach))
    const bottom = Math.min(this.height, Math.ceil(Math.max(y, y2) + reach))
    if (left >= right || top >= bottom) return null
    const dx = x2 - x
    const dy = y2 - y
    const length = dx * dx + dy * dy || 1
    for (let row = top; row < bottom; row++) {
      const py = row + 0.5
      for (let column = left; column < right; column++) {
        const px = column + 0.5
        const along = clamped(((px - x) * dx + (py - y) * dy) / length)
        const ex = px - (x + along * dx)
        const ey = py - (y + along * dy)
        const inside = radius + along * (radius2 - radius) - Math.sqrt(ex * ex + ey * ey) + 0.5
        if (inside <= 0) continue
        const part = Math.floor(clamped(inside) * 255 + 0.5)
        const place = row * this.width + column
        if (part > this.coverage[place]) this.coverage[place] = part
      }
    }
    return { left, top, right, bottom }
  }

  /**
   * Cover the 4-connected region around the seed whose pixels are like the seed's.
   * @param {Point} seed
   * @returns {Box | null}
   */
  #flood([x, y]) {
    const { width, height, layer } = this
    const column = Math.floor(x)
    const row = Math.floor(y)
    if (column < 0 || row < 0 || column >= width || row >= height) return null
    const first = row * width + column
    const reached = new Uint8Array(width * height)
    const color = layer.slice(first * 4, first * 4 + 4)
    /** @type {(place: number) => boolean} */
    const fits = (place) => {
      for (let channel = 0; channel < 4; channel++) {
        if (Math.abs(layer[place * 4 + channel] - color[channel]) >= FILL_TOLERANCE) return false
      }
      return true
    }
    const box = { left: column, top: row, right: column + 1, bottom: row + 1 }
    const waiting = [first]
    reached[first] = 1
    /** @type {(place: number) => void} */
    const visit = (place) => {
      if (reached[place] || !fits(place)) return
      reached[place] = 1
      waiting.push(place)
    }
    while (waiting.length) {
      const place = /** @type {number} */ (waiting.pop())
      const here = place % width
      const line = (place - here) / width
      this.coverage[place] = 255
      box.left = Math.min(box.left, here)
      box.right = Math.max(box.right, here + 1)
      box.top = Math.min(box.top, line)
      box.bottom = Math.max(box.bottom, line + 1)
      if (here > 0) visit(place - 1)
      if (here + 1 < width) visit(place + 1)
      if (line > 0) visit(place - width)
      if (line + 1 < height) visit(place + width)
    }
    return box
  }
}

/**
 * The smallest box around two.
 * @param {Box | null} first
 * @param {Box | null} second
 * @returns {Box | null}
 */
export function union(first, second) {
  if (!first || !second) return first ?? second
  return {
    left: Math.min(first.left, second.left),
    top: Math.min(first.top, second.top),
    right: Math.max(first.right, second.right),
    bottom: Math.max(first.bottom, second.bottom),
  }
}

/** @type {(value: number) => number} */
const clamped = (value) => Math.min(1, Math.max(0, value))

/** One channel of one pixel laid over another, by an amount of 0..255. @type {(source: number, under: number, amount: number) => number} */
const over = (source, under, amount) => Math.floor((source * amount + under * (255 - amount) + 127) / 255)

/** @param {Stroke} stroke @returns {number[]} */
function sourceOf({ tool, color = "#ffffff" }) {
  if (tool === "eraser") return [0, 0, 0, 0]
  const value = Number.parseInt(color.slice(1), 16)
  return [value >> 16, (value >> 8) & 255, value & 255, 255]
}

/**
 * The stroke's points and its mirror images'.
 * @param {Stroke} stroke
 * @param {number} width
 * @param {number} height
 * @returns {Point[][]}
 */
function mirrored({ points, size = 1, pressure, mirror = "" }, width, height) {
  /** @type {Point[]} */
  const original = []
  for (let index = 0; index < points.length / 2; index++) {
    original.push([points[index * 2], points[index * 2 + 1], (size / 2) * (pressure ? pressure[index] : 1)])
  }
  const all = [original]
  if (mirror.includes("x")) all.push(original.map(([x, y, radius]) => [width - x, y, radius]))
  if (mirror.includes("y")) all.push(original.map(([x, y, radius]) => [x, height - y, radius]))
  if (mirror === "xy") all.push(original.map(([x, y, radius]) => [width - x, height - y, radius]))
  return all
}

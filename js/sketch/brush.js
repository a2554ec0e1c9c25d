import { simplified } from "./simplify.js"

/** @typedef {import("./drawing.js").Stroke} Stroke */
/** @typedef {import("./drawing.js").Tool} Tool */
/** @typedef {import("./drawing.js").Mirror} Mirror */
/** @typedef {import("./layers.js").Layers} Layers */
/** @typedef {{x: number, y: number, pressure: number}} Sample */

const MARGIN = 2000

/** What the next stroke is drawn with. */
export class Brush {
  /** @type {Tool} */
  tool = "pen"
  color = "#ffffff"
  size = 8
  /** @type {Mirror} */
  mirror = ""

  /** @param {boolean} pressed whether the device feels pressure @returns {Stroke} */
  begin(pressed) {
    const stroke = /** @type {Stroke} */ ({ tool: this.tool })
    if (this.tool !== "eraser") stroke.color = this.color
    if (this.tool !== "fill") stroke.size = this.size
    stroke.points = []
    if (pressed && this.tool !== "fill") stroke.pressure = []
    if (this.mirror) stroke.mirror = this.mirror
    return stroke
  }
}

/** A stroke while it is drawn. */
export class LiveStroke {
  /** @param {Stroke} stroke @param {Layers} layers */
  constructor(stroke, layers) {
    this.stroke = stroke
    this.layers = layers
  }

  /** The movement goes on. @param {Sample[]} samples */
  add(samples) {
    for (const sample of samples) this.#push(sample)
    this.layers.grow(this.stroke)
  }

  /** Only a straight line from the first point. @param {Sample} sample */
  straighten(sample) {
    this.stroke.points.length = 2
    if (this.stroke.pressure) this.stroke.pressure.length = 1
    this.#push(sample)
    this.layers.replace(this.stroke)
  }

  /** @returns {Stroke} the stroke as it is saved */
  finish() {
    this.layers.cancel()
    return simplified(this.stroke)
  }

  /** @param {Sample} sample */
  #push({ x, y, pressure }) {
    this.stroke.points.push(bounded(x), bounded(y))
    this.stroke.pressure?.push(Math.min(1, Math.max(0.02, pressure)))
  }
}

/** @type {(value: number) => number} */
const bounded = (value) => Math.min(2 * MARGIN, Math.max(-MARGIN, value))

import { Raster, union } from "./raster.js"

/** @typedef {import("./drawing.js").Drawing} Drawing */
/** @typedef {import("./drawing.js").Stroke} Stroke */
/** @typedef {import("./raster.js").Box} Box */

const CHECKPOINT_EVERY = 40
const CHECKPOINT_BYTES = 64 * 2 ** 20

/**
 * The pixels of a drawing on a canvas element. A change of the drawing draws only what is new: checkpoints, kept every
 * few strokes, spare an undo the way from the first stroke on.
 */
export class Layers {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"))
    this.raster = new Raster(canvas.width, canvas.height)
    /** @type {readonly Stroke[]} */
    this.strokes = []
    /** @type {{count: number, last: Stroke, layer: Uint8Array}[]} */
    this.checkpoints = []
    /** @type {Box | null} */
    this.live = null
    this.drawnPoints = 0
  }

  /** Show a drawing. @param {Drawing} drawing */
  show({ width, height, strokes }) {
    this.cancel()
    let box = null
    if (width !== this.raster.width || height !== this.raster.height) {
      this.canvas.width = width
      this.canvas.height = height
      this.raster = new Raster(width, height)
      this.strokes = []
      this.checkpoints = []
      box = this.#whole()
    }
    const known = this.strokes.length
    const grown = known <= strokes.length && (!known || this.strokes[known - 1] === strokes[known - 1])
    if (!grown) {
      this.#restore(strokes)
      box = this.#whole()
    }
    for (let index = this.strokes.length; index < strokes.length; index++) {
      box = union(box, this.raster.draw(strokes[index]))
      if ((index + 1) % CHECKPOINT_EVERY === 0) this.#keep(index + 1, strokes[index])
    }
    this.strokes = strokes
    this.#paint(box, null)
  }

  /** Show a stroke in work over the drawing; its earlier points stay as they are. @param {Stroke} stroke */
  grow(stroke) {
    const box = this.raster.cover(stroke, Math.max(0, this.drawnPoints - 1))
    this.drawnPoints = stroke.points.length / 2
    this.live = union(this.live, box)
    this.#paint(box, stroke)
  }

  /** Show a stroke in work anew: all of its points may have moved. @param {Stroke} stroke */
  replace(stroke) {
    const before = this.live
    this.raster.forget(before)
    this.live = this.raster.cover(stroke)
    this.drawnPoints = stroke.points.length / 2
    this.#paint(union(before, this.live), stroke)
  }

  /** Take the stroke in work away. */
  cancel() {
    const box = this.live
    this.raster.forget(box)
    this.live = null
    this.drawnPoints = 0
    this.#paint(box, null)
  }

  /** @param {readonly Stroke[]} strokes */
  #restore(strokes) {
    this.checkpoints = this.checkpoints.filter(({ count, last }) => strokes[count - 1] === last)
    const nearest = this.checkpoints.at(-1)
    this.strokes = strokes.slice(0, nearest?.count ?? 0)
    if (nearest) this.raster.layer.set(nearest.layer)
    else this.raster.layer.fill(0)
  }

  /** @param {number} count @param {Stroke} last */
  #keep(count, last) {
    const layer = this.raster.layer.slice()
    this.checkpoints.push({ count, last, layer })
    if (this.checkpoints.length * layer.byteLength > CHECKPOINT_BYTES) this.checkpoints.shift()
  }

  /** @returns {Box} */
  #whole() {
    return { left: 0, top: 0, right: this.raster.width, bottom: this.raster.height }
  }

  /** @param {Box | null} box @param {Stroke | null} stroke */
  #paint(box, stroke) {
    if (box) this.context.putImageData(this.raster.picture(box, stroke), box.left, box.top)
  }
}

/** @typedef {import("../sketch/drawing.js").Drawing} Drawing */

const LEVELS = 200

/**
 * The drawing, or another value, and the states before and after it that undo and redo lead to. States are never changed.
 * @template [State=Drawing]
 */
export class History {
  /** @param {State} drawing */
  constructor(drawing) {
    this.drawing = drawing
    /** @type {State[]} */
    this.past = []
    /** @type {State[]} */
    this.future = []
  }

  /** @param {State} drawing */
  add(drawing) {
    this.past.push(this.drawing)
    if (this.past.length > LEVELS) this.past.shift()
    this.future = []
    this.drawing = drawing
  }

  /** @returns {boolean} whether there was a state to go back to */
  undo() {
    const drawing = this.past.pop()
    if (!drawing) return false
    this.future.push(this.drawing)
    this.drawing = drawing
    return true
  }

  /** @returns {boolean} whether there was a state to go forward to */
  redo() {
    const drawing = this.future.pop()
    if (!drawing) return false
    this.past.push(this.drawing)
    this.drawing = drawing
    return true
  }
}

import { LiveStroke } from "./brush.js"
import { keyPressed } from "./keys.js"

/** @typedef {import("./pad.js").Pad} Pad */
/** @typedef {import("../editor/view.js").Place} Place */

/** Mouse, touch, pen and keys on the stage of a pad. */
export class Pointers {
  /** @param {Pad} pad */
  constructor(pad) {
    this.pad = pad
    /** @type {LiveStroke | null} */
    this.stroke = null
    /** What draws the stroke; null for the keyboard. @type {number | null} */
    this.pointer = null
    /** Where the keyboard's pen is, in the drawing. @type {Place | null} */
    this.pen = null
    const { stage } = pad
    stage.addEventListener("pointerdown", (event) => this.#down(event))
    stage.addEventListener("pointermove", (event) => this.#move(event))
    stage.addEventListener("pointerup", (event) => this.#up(event))
    stage.addEventListener("pointercancel", (event) => this.#cancel(event))
    stage.addEventListener("pointerleave", () => pad.circle.classList.remove("shown"))
    stage.addEventListener("wheel", (event) => this.#circle(event), { passive: true })
    stage.addEventListener("keydown", (event) => keyPressed(this, event))
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.button > 1 || this.#isHandOfPen(event)) return
    if (this.pad.gestures.down(event)) this.dropStroke()
    else if (!this.pad.broken) this.#begin(event)
  }

  /** The hand that rests on the screen while a pen draws. @param {PointerEvent} event */
  #isHandOfPen(event) {
    return this.stroke !== null && this.pointer !== null && event.pointerType === "touch" && !this.pad.gestures.busy
  }

  /** @param {PointerEvent} event */
  #begin(event) {
    const { pad } = this
    const stroke = pad.brush.begin(event.pointerType === "pen")
    if (stroke.tool === "fill") {
      const { x, y } = pad.view.toDrawing({ x: event.clientX, y: event.clientY })
      const { width, height } = pad.drawing
      if (x >= 0 && y >= 0 && x < width && y < height) pad.addStroke({ ...stroke, points: [floor(x), floor(y)] })
      return
    }
    // A hand that touched the screen before its pen has drawn nothing.
    if (event.pointerType === "pen") this.dropStroke()
    else this.finishStroke()
    this.pointer = event.pointerId
    this.stroke = new LiveStroke(stroke, pad.layers)
    this.stroke.add([this.#sample(event)])
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const { stroke, pad } = this
    // A node of Nodes 2.0 would take a movement with Shift for itself.
    if (stroke || pad.gestures.busy) event.stopPropagation()
    this.#circle(event)
    if (pad.gestures.move(event) || !stroke || event.pointerId !== this.pointer) return
    if (event.shiftKey) return stroke.straighten(this.#sample(event))
    const events = event.getCoalescedEvents?.() ?? []
    stroke.add((events.length ? events : [event]).map((each) => this.#sample(each)))
  }

  /** @param {PointerEvent} event */
  #up(event) {
    const { gestures } = this.pad
    if (this.stroke || gestures.busy) event.stopPropagation()
    gestures.up(event)
    if (event.pointerId === this.pointer) this.finishStroke()
  }

  /** @param {PointerEvent} event */
  #cancel(event) {
    this.pad.gestures.up(event)
    if (event.pointerId === this.pointer) this.dropStroke()
  }

  finishStroke() {
    const stroke = this.stroke?.finish()
    this.#forget()
    if (stroke) this.pad.addStroke(stroke)
  }

  dropStroke() {
    this.stroke?.finish()
    this.#forget()
  }

  #forget() {
    this.stroke = null
    this.pointer = null
  }

  /** Show the brush's size where the pointer is. @param {MouseEvent} event */
  #circle(event) {
    this.showCircle(this.pad.view.toDrawing({ x: event.clientX, y: event.clientY }))
  }

  /** @param {Place} at in the drawing */
  showCircle(at) {
    const { circle, brush, drawing } = this.pad
    const size = brush.tool === "fill" ? 1 : brush.size
    circle.classList.add("shown")
    circle.style.left = `${((at.x - size / 2) / drawing.width) * 100}%`
    circle.style.top = `${((at.y - size / 2) / drawing.height) * 100}%`
    circle.style.width = `${(size / drawing.width) * 100}%`
  }

  /** @param {PointerEvent} event */
  #sample(event) {
    const { x, y } = this.pad.view.toDrawing({ x: event.clientX, y: event.clientY })
    return { x, y, pressure: event.pressure }
  }
}

/** Middle of the pixel under a point. @type {(value: number) => number} */
const floor = (value) => Math.floor(value) + 0.5

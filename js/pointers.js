import { app } from "../../scripts/app.js"
import { LiveStroke } from "./brush.js"
import { keyPressed, keyReleased } from "./keys.js"

/** @typedef {import("./pad.js").Pad} Pad */
/** @typedef {import("./view.js").Place} Place */

/** Mouse, touch, pen and keys on the stage of a pad. */
export class Pointers {
  /** @param {Pad} pad */
  constructor(pad) {
    this.pad = pad
    /** @type {LiveStroke | null} */
    this.stroke = null
    /** Fingers on the stage, by their pointer. @type {Map<number, Place>} */
    this.fingers = new Map()
    this.moving = false
    this.spaceHeld = false
    /** Where the keyboard's pen is, in the drawing. @type {Place | null} */
    this.pen = null
    this.#listen()
  }

  #listen() {
    const { stage, frame } = this.pad
    stage.addEventListener("pointerdown", (event) => this.#down(event))
    stage.addEventListener("pointermove", (event) => this.#move(event))
    stage.addEventListener("pointerup", (event) => this.#up(event))
    stage.addEventListener("pointercancel", (event) => this.#cancel(event))
    stage.addEventListener("pointerleave", () => this.pad.circle.classList.remove("shown"))
    // Nodes 2.0 takes the wheel before the pad hears of it, unless told not to.
    stage.addEventListener("focus", () => (this.pad.element.dataset.captureWheel = "true"))
    stage.addEventListener("blur", () => delete this.pad.element.dataset.captureWheel)
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false })
    // Clicks on the tools must not move the node below.
    for (const name of ["pointerdown", "dblclick"]) frame.addEventListener(name, (event) => event.stopPropagation())
    frame.addEventListener("keydown", (event) => keyPressed(this, event))
    frame.addEventListener("keyup", (event) => keyReleased(this, event))
  }

  /** @param {PointerEvent} event */
  #down(event) {
    const { pad } = this
    pad.stage.focus({ preventScroll: true })
    if (event.button > 1) return
    pad.stage.setPointerCapture(event.pointerId)
    if (event.pointerType === "touch") this.fingers.set(event.pointerId, { x: event.clientX, y: event.clientY })
    if (this.fingers.size === 2) {
      this.dropStroke()
    } else if (event.button === 1 || this.spaceHeld) {
      this.moving = true
    } else if (this.fingers.size <= 1 && !pad.broken) {
      this.#begin(event)
    }
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
    this.stroke = new LiveStroke(stroke, pad.layers)
    this.stroke.add([this.#sample(event)])
  }

  /** @param {PointerEvent} event */
  #move(event) {
    // A node of Nodes 2.0 would take a movement with Shift for itself.
    if (this.stroke || this.moving) event.stopPropagation()
    this.#circle(event)
    if (this.fingers.size === 2) return this.#pinch(event)
    if (this.moving) return this.pad.view.drag(event.movementX, event.movementY)
    if (!this.stroke) return
    if (event.shiftKey) return this.stroke.straighten(this.#sample(event))
    const events = event.getCoalescedEvents?.() ?? []
    this.stroke.add((events.length ? events : [event]).map((each) => this.#sample(each)))
  }

  /** @param {PointerEvent} event */
  #up(event) {
    if (this.stroke || this.moving) event.stopPropagation()
    this.fingers.delete(event.pointerId)
    this.moving = false
    this.finishStroke()
  }

  /** @param {PointerEvent} event */
  #cancel(event) {
    this.fingers.delete(event.pointerId)
    this.moving = false
    this.dropStroke()
  }

  finishStroke() {
    const stroke = this.stroke?.finish()
    this.stroke = null
    if (stroke) this.pad.addStroke(stroke)
  }

  dropStroke() {
    this.stroke?.finish()
    this.stroke = null
  }

  /** Two fingers zoom and move. @param {PointerEvent} event */
  #pinch(event) {
    const other = [...this.fingers].find(([id]) => id !== event.pointerId)?.[1]
    const before = this.fingers.get(event.pointerId)
    if (!other || !before) return
    const now = { x: event.clientX, y: event.clientY }
    this.fingers.set(event.pointerId, now)
    const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 }
    this.pad.view.zoomAt(middle, apart(now, other) / apart(before, other))
    this.pad.view.drag((now.x - before.x) / 2, (now.y - before.y) / 2)
  }

  /** The wheel zooms a pad that has the focus; else it is the graph's. @param {WheelEvent} event */
  #wheel(event) {
    const { pad } = this
    if (pad.dialog.open || pad.element.shadowRoot?.activeElement === pad.stage) {
      event.preventDefault()
      event.stopPropagation()
      pad.view.zoomAt({ x: event.clientX, y: event.clientY }, Math.exp(-event.deltaY / 400))
      this.#circle(event)
    } else if (pad.element.closest(".dom-widget")) {
      // In the classic canvas the pad lies over the graph, so that the graph does not hear of the wheel.
      app.canvas.processMouseWheel(event)
    }
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

/** @type {(one: Place, other: Place) => number} */
const apart = (one, other) => Math.max(1, Math.hypot(one.x - other.x, one.y - other.y))

import { app } from "../../../scripts/app.js"

/** @typedef {import("./view.js").Place} Place */

const TOUCHES = ["touchstart", "touchmove", "touchend", "touchcancel"]
/** Milliseconds in which the last finger's end as a touch follows its end as a pointer. */
const PATIENCE = 100
const ZOOM_KEYS = /** @type {Record<string, number>} */ ({ PageUp: 1.25, PageDown: 0.8 })

/** What moves and zooms the view of an editor: the wheel, two fingers, the middle button, the Space bar and keys. */
export class Gestures {
  /** @param {import("./editor.js").Editor<any>} editor */
  constructor(editor) {
    this.editor = editor
    /** Fingers, and the pointer that moves the view, by their number: where they were last, in the page. */
    /** @type {Map<number, Place>} */
    this.held = new Map()
    this.moving = false
    this.spaceHeld = false
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.release = undefined
    const { stage } = editor
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false })
    stage.addEventListener("focusin", () => this.captureWheel())
    stage.addEventListener("focusout", () => this.#left())
    stage.addEventListener("keydown", (event) => this.#key(event))
    stage.addEventListener("keyup", (event) => event.key === " " && (this.spaceHeld = false))
  }

  /** Whether a pointer is on the stage that the view takes, or may take. */
  get busy() {
    return this.held.size > 0
  }

  /** Nodes 2.0 takes the wheel before the editor hears of it, unless told not to. */
  captureWheel(wanted = true) {
    const { element, dialog } = this.editor
    if (wanted || dialog.open) element.dataset.captureWheel = "true"
    else delete element.dataset.captureWheel
  }

  #left() {
    this.spaceHeld = false
    this.captureWheel(false)
  }

  /** A pointer is down. @param {PointerEvent} event @returns {boolean} whether the view takes it */
  down(event) {
    const { editor, held } = this
    if (!editor.holdsFocus) editor.stage.focus({ preventScroll: true })
    editor.stage.setPointerCapture(event.pointerId)
    // What is still held when a first finger comes has been lost.
    if (event.isPrimary) held.clear()
    this.moving = false
    if (event.pointerType === "touch") {
      held.set(event.pointerId, pageOf(event))
      this.#keepFingers()
    }
    if (held.size > 1) return true
    if (event.button !== 1 && !this.spaceHeld) return false
    this.grab(event)
    return true
  }

  /** Let a pointer move the view. @param {PointerEvent} event */
  grab(event) {
    this.moving = true
    this.held.set(event.pointerId, pageOf(event))
  }

  /** A pointer moves. @param {PointerEvent} event @returns {boolean} whether it was the view's */
  move(event) {
    const { held, editor } = this
    const before = held.get(event.pointerId)
    if (!before) return false
    const now = pageOf(event)
    held.set(event.pointerId, now)
    if (held.size === 2) this.#pinch(event.pointerId, before, now)
    else if (this.moving) editor.view.drag(now.x - before.x, now.y - before.y)
    return this.moving || held.size > 1
  }

  /** A pointer is up, or lost. @param {PointerEvent} event */
  up(event) {
    this.held.delete(event.pointerId)
    this.moving = false
    if (!this.busy) this.release = setTimeout(() => this.#keepFingers(false), PATIENCE)
  }

  /**
   * While fingers are on the stage, keep them from the graph, which listens from above the editor: two would zoom it,
   * and it would wait for good for the end of one whose joint has been drawn anew.
   */
  #keepFingers(wanted = true) {
    clearTimeout(this.release)
    for (const kind of TOUCHES) {
      if (wanted) window.addEventListener(kind, this.#keep, true)
      else window.removeEventListener(kind, this.#keep, true)
    }
  }

  /** @param {Event} event */
  #keep = (event) => {
    if (event.composedPath().includes(this.editor.stage)) event.stopImmediatePropagation()
  }

  /** Zoom around the middle of the stage. @param {number} factor */
  zoom(factor) {
    const { left, top, width, height } = this.editor.stage.getBoundingClientRect()
    this.editor.view.zoomAt({ x: left + width / 2, y: top + height / 2 }, factor)
  }

  /** Two fingers zoom and move. @param {number} pointer @param {Place} before @param {Place} now */
  #pinch(pointer, before, now) {
    const other = [...this.held].find(([each]) => each !== pointer)?.[1] ?? now
    const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 }
    this.editor.view.zoomAt(middle, apart(now, other) / apart(before, other))
    this.editor.view.drag((now.x - before.x) / 2, (now.y - before.y) / 2)
  }

  /** The wheel zooms an editor that has the focus; else it is the graph's. @param {WheelEvent} event */
  #wheel(event) {
    const { editor } = this
    if (editor.dialog.open || editor.holdsFocus) {
      event.preventDefault()
      event.stopPropagation()
      editor.view.zoomAt(pageOf(event), Math.exp(-event.deltaY / 400))
    } else if (editor.element.closest(".dom-widget")) {
      // In the classic canvas the editor lies over the graph, so that the graph does not hear of the wheel.
      app.canvas.processMouseWheel(event)
    }
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === " ") this.spaceHeld = true
    else if (event.key in ZOOM_KEYS) this.zoom(ZOOM_KEYS[event.key])
    else if (event.key === "0" && !event.ctrlKey && !event.metaKey) this.editor.view.fit()
    else return
    event.preventDefault()
  }
}

/** @param {MouseEvent} event @returns {Place} */
const pageOf = ({ clientX, clientY }) => ({ x: clientX, y: clientY })

/** @type {(one: Place, other: Place) => number} */
const apart = (one, other) => Math.max(1, Math.hypot(one.x - other.x, one.y - other.y))

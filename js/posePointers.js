import { app } from "../../scripts/app.js"
import { middleOf, moved, withJoint } from "./posePeople.js"

/** @typedef {import("./poseEditor.js").PoseEditor} PoseEditor */
/** @typedef {import("./poseEditor.js").Address} Address */
/** @typedef {import("./poseDocument.js").Person} Person */
/** @typedef {import("./view.js").Place} Place */

const STEP = 8

/** @type {Record<string, [number, number]>} */
const ARROWS = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] }

/** Keys with Ctrl or Command that the editor answers itself. @type {Record<string, (editor: PoseEditor, event: KeyboardEvent) => void>} */
const COMMANDS = {
  z: (editor, event) => (event.shiftKey ? editor.redo() : editor.undo()),
  y: (editor) => editor.redo(),
}

/** Single keys on the stage and its joints. @type {Record<string, (editor: PoseEditor) => void>} */
const KEYS = {
  delete: (editor) => editor.toggleJoint(),
  backspace: (editor) => editor.toggleJoint(),
  enter: (editor) => editor.toggleJoint(),
  m: (editor) => editor.mirrorPerson(),
  "+": (editor) => scale(editor, 1.05),
  "-": (editor) => scale(editor, 1 / 1.05),
  0: (editor) => editor.view.fit(),
  escape: (editor) => editor.dialog.open && editor.toggleLarge(),
}

/** Mouse, touch, pen and keys on the stage of a pose editor. */
export class PosePointers {
  /** @param {PoseEditor} editor */
  constructor(editor) {
    this.editor = editor
    /** What is being dragged, from where; without a joint the whole person. */
    /** @type {{pointer: number, from: Place, person: Person, index: number, joint: Address | null, now: Person | null} | null} */
    this.drag = null
    this.moving = false
    const { stage, frame } = editor
    stage.addEventListener("pointerdown", (event) => this.#down(event))
    stage.addEventListener("pointermove", (event) => this.#move(event))
    stage.addEventListener("pointerup", (event) => this.#up(event))
    stage.addEventListener("pointercancel", () => this.#drop())
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false })
    stage.addEventListener("focusin", (event) => this.#focused(event))
    // Clicks on the tools must not move the node below.
    for (const name of ["pointerdown", "dblclick"]) frame.addEventListener(name, (event) => event.stopPropagation())
    frame.addEventListener("keydown", (event) => this.#key(event))
  }

  /** @param {PointerEvent} event */
  #down(event) {
    const { editor } = this
    if (this.drag || event.button > 1) return
    event.preventDefault()
    editor.stage.setPointerCapture(event.pointerId)
    const target = /** @type {Element} */ (event.target)
    const index = Number(target.closest("[data-person]")?.getAttribute("data-person") ?? -1)
    const person = editor.poses.people[index]
    this.moving = event.button === 1 || !person
    const joint = addressOf(target)
    editor.joint = joint
    if (person) editor.selected = index
    editor.show()
    editor.focusJoint()
    if (this.moving) return
    this.drag = { pointer: event.pointerId, from: this.#place(event), person, index, joint, now: null }
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const { editor, drag } = this
    // A node of Nodes 2.0 would take a movement with Shift for itself.
    if (drag || this.moving) event.stopPropagation()
    if (this.moving) return editor.view.drag(event.movementX, event.movementY)
    if (!drag || event.pointerId !== drag.pointer) return
    const at = this.#place(event)
    const [dx, dy] = [at.x - drag.from.x, at.y - drag.from.y]
    drag.now = event.shiftKey || !drag.joint ? shifted(drag.person, dx, dy) : jointShifted(drag.person, drag.joint, dx, dy)
    editor.show({ ...editor.poses, people: editor.poses.people.with(drag.index, drag.now) })
  }

  /** @param {PointerEvent} event */
  #up(event) {
    const { drag } = this
    if (drag || this.moving) event.stopPropagation()
    this.moving = false
    this.drag = null
    if (drag?.now) this.editor.replace(drag.index, drag.now)
  }

  #drop() {
    this.moving = false
    this.drag = null
    this.editor.show()
  }

  /** The wheel zooms an editor that has the focus; else it is the graph's. @param {WheelEvent} event */
  #wheel(event) {
    const { editor } = this
    if (editor.dialog.open || editor.stage.contains(editor.element.shadowRoot?.activeElement ?? null)) {
      event.preventDefault()
      event.stopPropagation()
      editor.view.zoomAt({ x: event.clientX, y: event.clientY }, Math.exp(-event.deltaY / 400))
    } else if (editor.element.closest(".dom-widget")) {
      // In the classic canvas the editor lies over the graph, so that the graph does not hear of the wheel.
      app.canvas.processMouseWheel(event)
    }
  }

  /** The joint with the focus is the one in use. @param {FocusEvent} event */
  #focused(event) {
    const { editor } = this
    const joint = addressOf(/** @type {Element} */ (event.target))
    if (!joint) return
    const another = joint.person !== editor.selected
    editor.joint = joint
    editor.selected = joint.person
    if (another) editor.show()
    else editor.toolbar.refresh()
  }

  /** A key on the editor: its own, or kept from the graph. @param {KeyboardEvent} event */
  #key(event) {
    const { editor } = this
    const control = event.ctrlKey || event.metaKey
    const key = event.key.toLowerCase()
    const inField = event.target instanceof HTMLInputElement
    const onStage = editor.stage.contains(/** @type {Node} */ (event.target))
    if (control && !(key in COMMANDS)) return
    event.stopPropagation()
    const action = control ? !inField && COMMANDS[key] : onStage && KEYS[key]
    if (action) action(editor, event)
    const [dx, dy] = (onStage && !control && ARROWS[key]) || [0, 0]
    if (dx || dy) this.#step(event, dx, dy)
    if (action || dx || dy) event.preventDefault()
  }

  /** Arrows move the joint by 8 pixels, by 1 with Alt; the person with Shift. */
  /** @param {KeyboardEvent} event @param {number} dx @param {number} dy */
  #step(event, dx, dy) {
    const { editor } = this
    const step = event.altKey ? 1 : STEP
    const { person, joint } = editor
    if (!person) return
    const whole = event.shiftKey || !joint
    const next = whole ? shifted(person, dx * step, dy * step) : jointShifted(person, joint, dx * step, dy * step)
    editor.replace(editor.selected, next)
  }

  /** @param {PointerEvent} event */
  #place(event) {
    return this.editor.view.toDrawing({ x: event.clientX, y: event.clientY })
  }
}

/** @param {Element} target @returns {Address | null} */
function addressOf(target) {
  const joint = /** @type {SVGElement | null} */ (target.closest(".joint"))
  if (!joint) return null
  const { person, part, place } = joint.dataset
  return { person: Number(person), part: /** @type {Address["part"]} */ (part), place: Number(place) }
}

/** @param {Person} person @param {number} dx @param {number} dy */
const shifted = (person, dx, dy) => moved(person, ({ x, y }) => ({ x: x + dx, y: y + dy }))

/** @param {Person} person @param {Address} joint @param {number} dx @param {number} dy */
function jointShifted(person, { part, place }, dx, dy) {
  const old = person[part][place]
  return old ? withJoint(person, part, place, { x: old.x + dx, y: old.y + dy }) : person
}

/** @param {PoseEditor} editor @param {number} factor */
function scale(editor, factor) {
  if (!editor.person) return
  const middle = middleOf(editor.person)
  const place = (/** @type {Place} */ { x, y }) => ({
    x: middle.x + (x - middle.x) * factor,
    y: middle.y + (y - middle.y) * factor,
  })
  editor.replace(editor.selected, moved(editor.person, place))
}

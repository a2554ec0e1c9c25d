import { turnedTo } from "./bones.js"
import { nearestJoint } from "./document.js"
import { middleOf, moved, withJoint } from "./people.js"

/** @typedef {import("./editor.js").PoseEditor} PoseEditor */
/** @typedef {import("./editor.js").Address} Address */
/** @typedef {import("./document.js").Person} Person */
/** @typedef {import("../editor/view.js").Place} Place */

const STEP = 8
/** Pixels of the page: how far a finger reaches, and how far it may slip without dragging. */
const FINGER = 22
const SLACK = 4

/** @type {Record<string, [number, number]>} */
const ARROWS = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] }

/** Single keys on the stage and its joints. @type {Record<string, (editor: PoseEditor) => void>} */
const KEYS = {
  delete: (editor) => editor.toggleJoint(),
  backspace: (editor) => editor.toggleJoint(),
  enter: (editor) => editor.toggleJoint(),
  m: (editor) => editor.mirrorPerson(),
  l: (editor) => editor.toggleBones(),
  "+": (editor) => scale(editor, 1.05),
  "-": (editor) => scale(editor, 1 / 1.05),
}

/** Mouse, touch, pen and keys on the stage of a pose editor. */
export class PosePointers {
  /** @param {PoseEditor} editor */
  constructor(editor) {
    this.editor = editor
    /** What is being dragged, from where; without a joint the whole person. */
    /** @type {{pointer: number, from: Place, slack: number, person: Person, index: number, joint: Address | null, now: Person | null} | null} */
    this.drag = null
    const { stage } = editor
    stage.addEventListener("pointerdown", (event) => this.#down(event))
    stage.addEventListener("pointermove", (event) => this.#move(event))
    stage.addEventListener("pointerup", (event) => this.#up(event))
    stage.addEventListener("pointercancel", (event) => this.#cancel(event))
    stage.addEventListener("focusin", (event) => this.#focused(event))
    stage.addEventListener("keydown", (event) => this.#key(event))
  }

  /** @param {PointerEvent} event */
  #down(event) {
    const { editor } = this
    const byFinger = event.pointerType === "touch"
    if (event.pointerType === "pen") this.#drop()
    // A second finger zooms; the hand that rests on the screen while a pen drags does not.
    if (event.button > 1 || (this.drag && !(byFinger && editor.gestures.busy))) return
    event.preventDefault()
    if (editor.gestures.down(event)) return this.#drop()
    const target = /** @type {Element} */ (event.target)
    const joint = addressOf(target) ?? (byFinger ? this.#jointNear(event) : null)
    const index = joint?.person ?? Number(target.closest("[data-person]")?.getAttribute("data-person") ?? -1)
    const person = editor.poses.people[index]
    editor.joint = joint
    if (person) editor.selected = index
    editor.show()
    editor.focusJoint()
    if (!person) return editor.gestures.grab(event)
    const slack = byFinger ? SLACK : 0
    this.drag = { pointer: event.pointerId, from: this.#place(event), slack, person, index, joint, now: null }
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const { editor, drag } = this
    // A node of Nodes 2.0 would take a movement with Shift for itself.
    if (drag || editor.gestures.busy) event.stopPropagation()
    if (editor.gestures.move(event) || !drag || event.pointerId !== drag.pointer) return
    const at = this.#place(event)
    const [dx, dy] = [at.x - drag.from.x, at.y - drag.from.y]
    if (!drag.now && Math.hypot(dx, dy) < drag.slack * editor.view.pixel) return
    const whole = event.shiftKey || !drag.joint
    drag.now = whole ? shifted(drag.person, dx, dy) : this.#jointShifted(drag.person, drag.joint, dx, dy)
    editor.show({ ...editor.poses, people: editor.poses.people.with(drag.index, drag.now) })
  }

  /** @param {PointerEvent} event */
  #up(event) {
    const { drag, editor } = this
    if (drag || editor.gestures.busy) event.stopPropagation()
    editor.gestures.up(event)
    if (!drag || event.pointerId !== drag.pointer) return
    this.drag = null
    if (drag.now) editor.replace(drag.index, drag.now)
  }

  /** @param {PointerEvent} event */
  #cancel(event) {
    this.editor.gestures.up(event)
    if (event.pointerId === this.drag?.pointer) this.#drop()
  }

  #drop() {
    if (!this.drag) return
    this.drag = null
    this.editor.show()
  }

  /** The joint under a finger, which is wider than a joint. @param {PointerEvent} event */
  #jointNear(event) {
    const { poses, view } = this.editor
    return nearestJoint(poses, this.#place(event), FINGER * view.pixel)
  }

  /** The joint with the focus is the one in use. @param {FocusEvent} event */
  #focused(event) {
    const { editor } = this
    const target = /** @type {Element} */ (event.target)
    const joint = addressOf(target)
    if (!joint) return
    if (target.matches(":focus-visible")) this.#reveal(joint)
    const another = joint.person !== editor.selected
    editor.joint = joint
    editor.selected = joint.person
    if (another) editor.show()
    else editor.toolbar.refresh()
  }

  /** A key on the stage or one of its joints. @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey) return
    const key = event.key.toLowerCase()
    if (Object.hasOwn(ARROWS, key)) this.#step(event, ...ARROWS[key])
    else if (Object.hasOwn(KEYS, key)) KEYS[key](this.editor)
    else return
    event.preventDefault()
  }

  /** Arrows move the joint by 8 pixels, by 1 with Alt; the person with Shift. */
  /** @param {KeyboardEvent} event @param {number} dx @param {number} dy */
  #step(event, dx, dy) {
    const { editor } = this
    const step = event.altKey ? 1 : STEP
    const { person, joint } = editor
    if (!person) return
    const whole = event.shiftKey || !joint
    const next = whole ? shifted(person, dx * step, dy * step) : this.#jointShifted(person, joint, dx * step, dy * step)
    editor.replace(editor.selected, next)
  }

  /** @param {Person} person @param {Address | null} joint @param {number} dx @param {number} dy */
  #jointShifted(person, joint, dx, dy) {
    const old = joint && person[joint.part][joint.place]
    if (!old) return person
    const to = { x: old.x + dx, y: old.y + dy }
    if (this.editor.keepsBones && joint.part === "body") return turnedTo(person, joint.place, to)
    return withJoint(person, joint.part, joint.place, to)
  }

  /** Bring a joint into view that the Tab key has reached. @param {Address} address */
  #reveal({ person, part, place }) {
    const joint = this.editor.poses.people[person]?.[part][place]
    if (joint) this.editor.view.reveal(joint)
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

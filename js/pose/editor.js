import { Editor } from "../editor/editor.js"
import { LARGEST, LARGEST_TEXT, SMALLEST } from "../editor/limits.js"
import { element, svg } from "../elements.js"
import { EMPTY, MOST_PEOPLE, parsePoses, posesOf, writePoses } from "./document.js"
import { mirrored, newPerson, withFace, withHands, withJoint } from "./people.js"
import { picturesOf, say } from "./picture.js"
import { PosePointers } from "./pointers.js"
import { PoseToolbar } from "./toolbar.js"

/** @typedef {import("./document.js").Part} Part */
/** @typedef {import("./document.js").Person} Person */
/** @typedef {import("./document.js").Poses} Poses */
/** @typedef {{person: number, part: Part, place: number}} Address */

const STYLE = new URL("./pose.css", import.meta.url).href

/** Skeletons to drag, with their tools: an element that holds poses as text. @extends {Editor<Poses>} */
export class PoseEditor extends Editor {
  /** @param {() => void} changed called after each change that the person at the canvas made */
  constructor(changed) {
    super({ empty: EMPTY, write: writePoses, say, name: "zeroconv-pose", style: STYLE, changed })
    /** What the last run brought by wire. @type {Poses} */
    this.wired = EMPTY
    this.selected = 0
    /** Whether limbs keep their lengths when a joint is moved. */
    this.keepsBones = false
    /** The joint that keys and tools act on. @type {Address | null} */
    this.joint = null

    this.people = svg("svg", { class: "people", role: "group", "aria-label": say("people") })
    this.empty = element("div", { class: "empty" }, say("empty"))
    this.sheet.append(this.people, this.empty)
    this.toolbar = new PoseToolbar(this)
    this.frame.prepend(this.toolbar.element)
    this.pointers = new PosePointers(this)
    this.traced.image.addEventListener("load", () => this.#fit(this.traced.image))
    this.show()
  }

  get poses() {
    return this.history.content
  }

  /** The person that the tools act on. @returns {Person | undefined} */
  get person() {
    return this.poses.people[this.selected]
  }

  /** Take the poses of a workflow; what cannot be read is kept as it is until the person starts anew. */
  /** @param {unknown} text */
  load(text) {
    if (text === this.text) return
    this.text = typeof text === "string" ? text : ""
    this.joint = null
    this.begin(() => (this.text ? parsePoses(text) : this.wired))
  }

  /** Show what a run brought by wire, unless there are poses of this editor's own. @param {unknown} frame */
  follow(frame) {
    if (this.text) return
    this.joint = null
    this.begin(() => (this.wired = posesOf(frame)))
  }

  /** A canvas on which nothing was made yet gets the shape of the picture to trace. @param {HTMLImageElement} image */
  #fit({ naturalWidth, naturalHeight }) {
    if (this.text || this.poses.people.length) return
    const scale = Math.min(1, LARGEST / Math.max(naturalWidth, naturalHeight))
    const [width, height] = [naturalWidth, naturalHeight].map((edge) => Math.max(SMALLEST, Math.round(edge * scale)))
    this.begin(() => (this.wired = { width, height, people: [] }))
  }

  /** Give the poses up for the wired ones. */
  takeWired() {
    this.history.add(this.wired)
    this.adopt("")
  }

  /** Change something about the poses. @param {Partial<Poses>} change */
  edit(change) {
    const poses = { ...this.poses, ...change }
    const text = writePoses(poses)
    if (text.length > LARGEST_TEXT || poses.people.length > MOST_PEOPLE) {
      this.warn(say("full"))
      return
    }
    this.history.add(poses)
    this.adopt(text)
  }

  /** Put another person in the place of one. @param {number} index @param {Person} person */
  replace(index, person) {
    this.edit({ people: this.poses.people.with(index, person) })
  }

  /** @param {import("./presets.js").Preset} preset */
  addPerson(preset) {
    const { width, height, people } = this.poses
    this.selected = people.length
    this.joint = null
    this.edit({ people: [...people, newPerson(preset, width, height, people.length)] })
  }

  deletePerson() {
    const people = this.poses.people.filter((_, index) => index !== this.selected)
    if (this.person) this.edit({ people })
  }

  mirrorPerson() {
    if (this.person) this.replace(this.selected, mirrored(this.person))
  }

  toggleBones() {
    this.keepsBones = !this.keepsBones
    this.keep({ keepsBones: this.keepsBones })
    this.refresh()
  }

  /** @param {{keepsBones?: unknown}} settings */
  recall({ keepsBones }) {
    this.keepsBones = keepsBones === true
    this.refresh()
  }

  /** Add both hands to the person, or take them away. */
  toggleHands() {
    if (!this.person) return
    const has = this.person.leftHand.length || this.person.rightHand.length
    this.replace(this.selected, has ? { ...this.person, leftHand: [], rightHand: [] } : withHands(this.person))
  }

  /** Add a face to the person, or take it away. */
  toggleFace() {
    if (!this.person) return
    this.replace(this.selected, this.person.face.length ? { ...this.person, face: [] } : withFace(this.person))
  }

  /** Hide the joint in use, or show it again. */
  toggleJoint() {
    const joint = this.jointInUse()
    if (!joint || !this.joint) return
    const { person, part, place } = this.joint
    this.replace(person, withJoint(this.poses.people[person], part, place, { score: joint.score ? 0 : 1 }))
  }

  jointInUse() {
    return this.joint && this.poses.people[this.joint.person]?.[this.joint.part][this.joint.place]
  }

  get isBlank() {
    return !this.poses.people.length
  }

  clear() {
    this.edit({ people: [] })
  }

  refresh() {
    this.toolbar.refresh()
  }

  /** Draw poses, those of this editor or some in work. */
  show(poses = this.poses) {
    const { width, height, people } = poses
    this.selected = Math.max(0, Math.min(this.selected, people.length - 1))
    this.view.resize(width, height)
    this.people.setAttribute("viewBox", `0 0 ${width} ${height}`)
    const focused = this.people.contains(this.element.shadowRoot?.activeElement ?? null)
    this.people.replaceChildren(...picturesOf(poses, this.selected))
    if (focused) this.focusJoint()
    this.empty.hidden = people.length > 0
    this.inform(say(this.text ? "status" : "status_wired", { width, height, people: people.length }))
    this.refresh()
  }

  /** The focus goes to the joint in use, which may just have been drawn anew. */
  focusJoint() {
    const { person, part, place } = this.joint ?? {}
    const name = `.joint[data-person="${person}"][data-part="${part}"][data-place="${place}"]`
    const joint = /** @type {SVGElement | null} */ (this.people.querySelector(name))
    ;(joint ?? this.stage).focus({ preventScroll: true })
  }
}

import { LARGEST_TEXT } from "./drawing.js"
import { element, svg } from "./elements.js"
import { History } from "./history.js"
import { EMPTY, MOST_PEOPLE, parsePoses, posesOf, writePoses } from "./poseDocument.js"
import { mirrored, newPerson, withFace, withHands, withJoint } from "./posePeople.js"
import { picturesOf, say } from "./posePicture.js"
import { PosePointers } from "./posePointers.js"
import { PoseToolbar } from "./poseToolbar.js"
import { View } from "./view.js"

/** @typedef {import("./poseDocument.js").Part} Part */
/** @typedef {import("./poseDocument.js").Person} Person */
/** @typedef {import("./poseDocument.js").Poses} Poses */
/** @typedef {{person: number, part: Part, place: number}} Address */

/** Skeletons to drag, with their tools: an element that holds poses as text. */
export class PoseEditor {
  /** @param {() => void} changed called after each change that the person at the canvas made */
  constructor(changed) {
    this.changed = changed
    this.text = ""
    this.history = /** @type {History<Poses>} */ (new History(EMPTY))
    /** What the last run brought by wire. @type {Poses} */
    this.wired = EMPTY
    this.broken = false
    this.selected = 0
    /** The joint that keys and tools act on. @type {Address | null} */
    this.joint = null

    this.people = svg("svg", { class: "people", role: "group", "aria-label": say("people") })
    this.empty = element("div", { class: "empty" }, say("empty"))
    this.sheet = element("div", { class: "sheet" }, this.people, this.empty)
    this.stage = element(
      "div",
      { class: "stage", tabindex: 0, role: "application", "aria-label": say("surface"), "aria-describedby": "keys" },
      this.sheet,
    )
    this.status = element("div", { class: "status", role: "status" })
    const keys = element("div", { id: "keys", class: "unseen" }, say("keys"))

    this.view = new View(this.stage, this.sheet)
    this.toolbar = new PoseToolbar(this)
    this.frame = element("div", { class: "pad" }, this.toolbar.element, this.stage, this.status, keys)
    this.dialog = element("dialog", { "aria-label": say("surface") })
    this.dialog.addEventListener("close", () => this.#home())
    this.element = this.#host()
    this.pointers = new PosePointers(this)
    this.show()
  }

  get poses() {
    return this.history.drawing
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
    this.#begin(() => (this.text ? parsePoses(text) : this.wired))
  }

  /** Show what a run brought by wire, unless there are poses of this editor's own. @param {unknown} frame */
  follow(frame) {
    if (this.text) return
    this.#begin(() => (this.wired = posesOf(frame)))
  }

  /** Give the poses up for the wired ones. */
  takeWired() {
    this.history.add(this.wired)
    this.#adopt("")
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
    this.#adopt(text)
  }

  /** Put another person in the place of one. @param {number} index @param {Person} person */
  replace(index, person) {
    this.edit({ people: this.poses.people.with(index, person) })
  }

  /** @param {import("./posePeople.js").Preset} preset */
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

  clear() {
    this.edit({ people: [] })
  }

  undo() {
    if (this.history.undo()) this.#adopt(writePoses(this.poses))
  }

  redo() {
    if (this.history.redo()) this.#adopt(writePoses(this.poses))
  }

  /** Say what hinders. @param {string} message */
  warn(message) {
    this.status.classList.add("warning")
    this.status.textContent = message
  }

  /** Open the editor over the whole window, or bring it back to its node. */
  toggleLarge() {
    if (this.dialog.open) {
      this.dialog.close()
      return
    }
    this.dialog.append(this.frame)
    this.dialog.showModal()
    this.toolbar.refresh()
    this.stage.focus()
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
    this.status.classList.remove("warning")
    this.status.textContent = say(this.text ? "status" : "status_wired", { width, height, people: people.length })
    this.toolbar.refresh()
  }

  /** The focus goes to the joint in use, which may just have been drawn anew. */
  focusJoint() {
    const { person, part, place } = this.joint ?? {}
    const name = `.joint[data-person="${person}"][data-part="${part}"][data-place="${place}"]`
    const joint = /** @type {SVGElement | null} */ (this.people.querySelector(name))
    ;(joint ?? this.stage).focus({ preventScroll: true })
  }

  /** @param {() => Poses} read */
  #begin(read) {
    this.joint = null
    try {
      this.history = new History(read())
      this.broken = false
      this.show()
    } catch (error) {
      this.history = new History(EMPTY)
      this.broken = true
      this.show()
      this.warn(say("unreadable", { reason: error instanceof Error ? error.message : "" }))
    }
  }

  /** @param {string} text */
  #adopt(text) {
    this.text = text
    this.broken = false
    this.show()
    this.changed()
  }

  #home() {
    this.element.shadowRoot?.append(this.frame)
    this.toolbar.refresh()
  }

  /** @returns {HTMLElement} */
  #host() {
    const host = element("div", { class: "zeroconv-pose widget-expands" })
    // The front end leaves Ctrl+Z to a focused element of this type: it has an undo of its own, as the editor does.
    Object.defineProperty(host, "type", { value: "textarea" })
    const style = element("link", { rel: "stylesheet", href: new URL("./pose.css", import.meta.url).href })
    host.attachShadow({ mode: "open", delegatesFocus: false }).append(style, this.frame, this.dialog)
    return host
  }
}

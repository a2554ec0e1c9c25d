import { element, iconButton } from "../elements.js"
import { keepFromGraph, noteChange } from "../graph.js"
import { sayer } from "../strings.js"
import { Axes } from "./axes.js"
import { CurvePicture } from "./picture.js"
import { factorAt, formatSchedule, INTERPOLATIONS, orderOf, parseSchedule } from "./schedule.js"

/** @typedef {import("./schedule.js").Keyframe} Keyframe */
/** @typedef {import("./schedule.js").Interpolation} Interpolation */

const say = sayer("curve")

/** A schedule to be dragged: an element that shows a text's curve and writes the text anew. */
export class CurveEditor {
  /** @param {(text: string) => void} write called with the text after each change that the person made */
  constructor(write) {
    this.write = write
    this.text = ""
    this.counting = ""
    /** @type {readonly Keyframe[]} */
    this.keyframes = []
    this.chosen = 0
    /** Where the sampler's steps begin, by counting. @type {Record<string, number[]> | null} */
    this.steps = null

    this.picture = new CurvePicture(this)
    this.position = this.#number("position")
    this.strength = this.#number("strength")
    this.interpolation = this.#interpolations()
    this.add = iconButton("add", say("add"), () => this.addInWidestGap())
    this.remove = iconButton("clear", say("remove"), () => this.removeKeyframe(this.chosen))
    this.fields = element(
      "div",
      { class: "fields" },
      this.position,
      this.strength,
      this.interpolation,
      this.add,
      this.remove,
    )
    this.status = element("div", { class: "status", role: "status" })
    const described = { class: "curve", role: "group", "aria-label": say("curve") }
    this.frame = element("div", described, this.picture.element, this.fields, this.status)
    keepFromGraph(this.frame, () => this.picture.focusChosen())
    this.element = this.#host()
  }

  get axes() {
    return new Axes(this.keyframes, this.counting)
  }

  /** Show a text's curve; one with a mistake leaves the last curve, faint. @param {string} text @param {string} counting */
  show(text, counting) {
    if (text === this.text && counting === this.counting) return
    Object.assign(this, { text, counting })
    try {
      this.keyframes = parseSchedule(text, counting)
      this.frame.classList.remove("broken")
    } catch (error) {
      this.frame.classList.add("broken")
      const rest = error instanceof Error ? error.message : ""
      this.#say(rest ? say("mistake", { rest: rest.slice(0, 24) }) : say("unfinished"))
      return
    }
    this.chosen = Math.min(this.chosen, this.keyframes.length - 1)
    this.refresh()
  }

  /** @param {Record<string, number[]> | null} steps */
  markSteps(steps) {
    if (steps === this.steps) return
    this.steps = steps
    if (!this.frame.classList.contains("broken")) this.refresh()
  }

  /** @param {number} index */
  choose(index) {
    this.chosen = index
    this.refresh()
  }

  /** Move or change one keyframe, between its neighbours. @param {number} index @param {Partial<Keyframe>} change */
  change(index, change) {
    const changed = { ...this.keyframes[index], ...change }
    changed.position = this.#between(index, changed.position)
    this.#adopt(this.keyframes.map((keyframe, place) => (place === index ? changed : keyframe)))
  }

  /** @param {number} position @param {number} strength */
  addKeyframe(position, strength) {
    const here = orderOf(position, this.counting)
    const after = this.keyframes.findIndex((keyframe) => orderOf(keyframe.position, this.counting) > here)
    this.chosen = after < 0 ? this.keyframes.length : after
    const interpolation = this.keyframes[Math.max(0, this.chosen - 1)].interpolation
    this.#adopt(this.keyframes.toSpliced(this.chosen, 0, { position, strength, interpolation }))
    this.picture.focusChosen()
  }

  /** A keyframe on the curve, where there is most room. */
  addInWidestGap() {
    const { axes } = this
    const edges = [0, ...this.keyframes.map(({ position }) => axes.across(position)), 1]
    const gaps = edges.slice(1).map((edge, place) => edge - edges[place])
    const widest = gaps.indexOf(Math.max(...gaps))
    const position = axes.round(axes.position((edges[widest] + edges[widest + 1]) / 2))
    this.addKeyframe(position, hundredth(factorAt(this.keyframes, position, this.counting)))
  }

  /** @param {number} index */
  removeKeyframe(index) {
    if (this.keyframes.length === 1) return
    this.chosen = Math.max(0, index - 1)
    this.#adopt(this.keyframes.toSpliced(index, 1))
  }

  refresh() {
    const { position, strength, interpolation } = this.keyframes[this.chosen]
    this.picture.draw()
    this.position.value = String(position)
    this.strength.value = String(strength)
    this.interpolation.value = interpolation
    this.interpolation.disabled = this.chosen === this.keyframes.length - 1
    this.remove.disabled = this.keyframes.length === 1
    const marked = this.steps?.[this.counting]
    this.#say(marked ? say("steps", { active: this.#active(marked), all: marked.length }) : say("help"))
  }

  /** How many steps the ControlNet runs in. @param {number[]} positions */
  #active(positions) {
    return positions.filter((position) => factorAt(this.keyframes, position, this.counting) !== 0).length
  }

  /** @param {Keyframe[]} keyframes */
  #adopt(keyframes) {
    const text = formatSchedule(keyframes, this.text)
    this.show(text, this.counting)
    this.write(text)
    if (!this.picture.dragging) noteChange()
  }

  /** @param {number} index @param {number} position */
  #between(index, position) {
    const { axes } = this
    const before = this.keyframes[index - 1]?.position ?? axes.position(0)
    const after = this.keyframes[index + 1]?.position ?? axes.position(1)
    return Math.min(Math.max(before, after), Math.max(Math.min(before, after), position))
  }

  /** @param {"position" | "strength"} name */
  #number(name) {
    const field = element("input", { type: "number", step: 0.05, "aria-label": say(name), title: say(name) })
    field.addEventListener("change", () => {
      const value = Number(field.value)
      if (field.value !== "" && Number.isFinite(value)) this.change(this.chosen, { [name]: value })
      this.refresh()
    })
    return field
  }

  #interpolations() {
    const options = INTERPOLATIONS.map((value) => element("option", { value }, say(value)))
    const picker = element("select", { "aria-label": say("interpolation"), title: say("interpolation") }, ...options)
    picker.addEventListener("change", () => {
      this.change(this.chosen, { interpolation: /** @type {Interpolation} */ (picker.value) })
    })
    return picker
  }

  /** @param {string} words */
  #say(words) {
    this.status.textContent = words
  }

  /** @returns {HTMLElement} */
  #host() {
    const host = element("div", { class: "zeroconv-curve" })
    const style = element("link", { rel: "stylesheet", href: new URL("./curve.css", import.meta.url).href })
    host.attachShadow({ mode: "open" }).append(style, this.frame)
    // Keys must not act on the node below.
    host.addEventListener("keydown", (event) => {
      if (!event.ctrlKey && !event.metaKey) event.stopPropagation()
    })
    return host
  }
}

/** @type {(value: number) => number} */
const hundredth = (value) => Math.round(value * 100) / 100

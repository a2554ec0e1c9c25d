import { element, svg } from "../elements.js"
import { noteChange } from "../graph.js"
import { sayer } from "../strings.js"
import { factorAt } from "./schedule.js"

/** @typedef {import("./editor.js").CurveEditor} CurveEditor */
/** @typedef {import("./axes.js").Axes} Axes */

const say = sayer("curve")
const MARGIN = { left: 30, right: 12, top: 8, bottom: 20 }
const SAMPLES = 240
/** Share of the height in which a dragged strength falls on a line. */
const CATCH = 0.03

/** The picture of a schedule: its curve, the steps on it, and a handle for each keyframe. */
export class CurvePicture {
  /** @param {CurveEditor} editor */
  constructor(editor) {
    this.editor = editor
    this.root = svg("svg", { role: "group", "aria-label": say("curve") })
    this.element = element("div", { class: "picture" }, this.root)
    /** Axes stay as they are while a handle is dragged. @type {Axes | null} */
    this.held = null
    new ResizeObserver(() => editor.keyframes.length && this.draw()).observe(this.element)
    this.root.addEventListener("dblclick", (event) => this.#addAt(event))
  }

  get axes() {
    return this.held ?? this.editor.axes
  }

  draw() {
    const focused = this.root.contains(this.root.getRootNode() instanceof ShadowRoot ? this.#focused() : null)
    this.root.replaceChildren(...this.#grid(), ...this.#curve(), ...this.#steps(), ...this.#handles())
    if (focused) this.focusChosen()
  }

  get dragging() {
    return this.held !== null
  }

  /** Keys are now for the chosen keyframe. */
  focusChosen() {
    this.#handle(this.editor.chosen)?.focus({ preventScroll: true })
  }

  #focused() {
    return /** @type {ShadowRoot} */ (this.root.getRootNode()).activeElement
  }

  /** @param {number} index @returns {SVGElement | undefined} */
  #handle(index) {
    return /** @type {SVGElement[]} */ ([...this.root.querySelectorAll(".handle")])[index]
  }

  /** @param {number} position */
  #x(position) {
    return MARGIN.left + this.axes.across(position) * (this.#width - MARGIN.left - MARGIN.right)
  }

  /** @param {number} strength */
  #y(strength) {
    return MARGIN.top + (1 - this.axes.up(strength)) * (this.#height - MARGIN.top - MARGIN.bottom)
  }

  get #width() {
    return Math.max(100, this.element.clientWidth)
  }

  get #height() {
    return Math.max(80, this.element.clientHeight)
  }

  #grid() {
    const { axes } = this
    const [right, bottom] = [this.#width - MARGIN.right, this.#height - MARGIN.bottom]
    const lines = axes.lines.flatMap((strength) => [
      svg("line", { class: "grid", x1: MARGIN.left, x2: right, y1: this.#y(strength), y2: this.#y(strength) }),
      svg("text", { class: "label end", x: MARGIN.left - 6, y: this.#y(strength) + 4 }, String(strength)),
    ])
    const marks = axes.marks.map((position) =>
      svg("text", { class: "label middle", x: this.#x(position), y: bottom + 15 }, String(position)),
    )
    return [...lines, ...marks]
  }

  #curve() {
    const { keyframes, counting } = this.editor
    const { axes } = this
    const positions = Array.from({ length: SAMPLES + 1 }, (_, index) => axes.position(index / SAMPLES))
    // A jump is drawn upright: its keyframes are points of the curve, each from both sides.
    const points = positions.map((position) => [axes.across(position), factorAt(keyframes, position, counting)])
    keyframes.forEach(({ position, strength, interpolation }, index) => {
      points.push([axes.across(position), strength])
      const next = keyframes[index + 1]
      if (next && interpolation === "hold") points.push([axes.across(next.position) - 1e-9, strength])
    })
    points.sort((one, other) => one[0] - other[0])
    const places = points.map(([across, strength]) => [this.#x(axes.position(across)), this.#y(strength)].map(tenth))
    const line = places.map((place) => place.join(" ")).join("L")
    const floor = tenth(this.#y(0))
    return [
      svg("path", { class: "area", d: `M${places[0][0]} ${floor}L${line}L${places.at(-1)?.[0]} ${floor}Z` }),
      svg("path", { class: "line", d: `M${line}` }),
    ]
  }

  #steps() {
    const { steps, counting, keyframes } = this.editor
    const bottom = this.#height - MARGIN.bottom
    return (steps?.[counting] ?? []).flatMap((position) => {
      const strength = factorAt(keyframes, position, counting)
      const [x, y] = [this.#x(position), this.#y(strength)]
      const stem = svg("line", { class: "step", x1: x, x2: x, y1: bottom, y2: bottom - 5 })
      return strength === 0 ? [stem] : [stem, svg("circle", { class: "step", cx: x, cy: y, r: 2.5 })]
    })
  }

  #handles() {
    const { keyframes, chosen } = this.editor
    return keyframes.map(({ position, strength, interpolation }, index) => {
      const label = say("keyframe", { number: index + 1, position, strength, interpolation: say(interpolation) })
      const handle = svg(
        "g",
        { class: index === chosen ? "handle chosen" : "handle", tabindex: 0, role: "button", "aria-label": label },
        svg("circle", { class: "reach", cx: this.#x(position), cy: this.#y(strength), r: 13 }),
        svg("circle", { class: "dot", cx: this.#x(position), cy: this.#y(strength), r: 5.5 }),
        svg("title", {}, label),
      )
      handle.addEventListener("pointerdown", (event) => this.#drag(event, index))
      handle.addEventListener("focus", () => index !== this.editor.chosen && this.editor.choose(index))
      handle.addEventListener("keydown", (event) => this.#key(event, index))
      return handle
    })
  }

  /** Follow the pointer until it is let go. @param {PointerEvent} event @param {number} index */
  #drag(event, index) {
    if (event.button !== 0) return
    event.preventDefault()
    this.held = this.editor.axes
    this.editor.choose(index)
    this.#handle(index)?.focus()
    this.root.setPointerCapture(event.pointerId)
    const stop = new AbortController()
    const move = (/** @type {PointerEvent} */ moved) => {
      moved.stopPropagation()
      this.editor.change(index, this.#at(moved))
    }
    const end = () => {
      stop.abort()
      this.held = null
      this.draw()
      noteChange()
    }
    const { signal } = stop
    this.root.addEventListener("pointermove", move, { signal })
    for (const name of ["pointerup", "pointercancel"]) this.root.addEventListener(name, end, { signal })
  }

  /** Position and strength under the pointer, caught by the lines. @param {MouseEvent} event */
  #at(event) {
    const { axes } = this
    const box = this.root.getBoundingClientRect()
    const scale = box.width / this.#width || 1
    const x = (event.clientX - box.left) / scale - MARGIN.left
    const y = (event.clientY - box.top) / scale - MARGIN.top
    const up = 1 - y / (this.#height - MARGIN.top - MARGIN.bottom)
    const line = axes.lines.find((strength) => Math.abs(axes.up(strength) - up) < CATCH)
    return {
      position: axes.round(axes.position(x / (this.#width - MARGIN.left - MARGIN.right))),
      strength: line ?? Math.round(axes.strength(up) * 100) / 100,
    }
  }

  /** @param {MouseEvent} event */
  #addAt(event) {
    if (event.target instanceof Element && event.target.closest(".handle")) return
    const { position, strength } = this.#at(event)
    this.editor.addKeyframe(position, strength)
  }

  /** Arrows move a keyframe, Delete takes it away. @param {KeyboardEvent} event @param {number} index */
  #key(event, index) {
    const step = event.shiftKey ? 0.1 : 0.01
    const { position, strength } = this.editor.keyframes[index]
    const right = this.axes.sigma ? -step : step
    /** @type {Record<string, () => void>} */
    const actions = {
      ArrowLeft: () => this.editor.change(index, { position: thousandth(position - right) }),
      ArrowRight: () => this.editor.change(index, { position: thousandth(position + right) }),
      ArrowUp: () => this.editor.change(index, { strength: thousandth(strength + step) }),
      ArrowDown: () => this.editor.change(index, { strength: thousandth(strength - step) }),
      Delete: () => this.editor.removeKeyframe(index),
      Backspace: () => this.editor.removeKeyframe(index),
    }
    if (!Object.hasOwn(actions, event.key)) return
    event.preventDefault()
    actions[event.key]()
  }
}

/** @type {(value: number) => number} */
const tenth = (value) => Math.round(value * 10) / 10

/** @type {(value: number) => number} */
const thousandth = (value) => Math.round(value * 1000) / 1000

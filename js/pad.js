import { Brush } from "./brush.js"
import { EMPTY, LARGEST_BRUSH, LARGEST_TEXT, MOST_WORK, parseDrawing, workOf, writeDrawing } from "./drawing.js"
import { element } from "./elements.js"
import { History } from "./history.js"
import { Layers } from "./layers.js"
import { Pointers } from "./pointers.js"
import { say } from "./strings.js"
import { Toolbar } from "./toolbar.js"
import { Traced } from "./traced.js"
import { View } from "./view.js"

/** @typedef {import("./drawing.js").Drawing} Drawing */
/** @typedef {import("./drawing.js").Stroke} Stroke */

/** A drawing surface with its tools: an element that holds a drawing as text. */
export class Pad {
  /** @param {() => void} changed called after each change that the person made */
  constructor(changed) {
    this.changed = changed
    this.text = ""
    this.history = new History(EMPTY)
    this.brush = new Brush()
    this.broken = false

    this.canvas = element("canvas", { width: EMPTY.width, height: EMPTY.height })
    this.traced = new Traced()
    this.circle = element("div", { class: "circle" })
    this.guides = element("div", { class: "guides" })
    this.sheet = element("div", { class: "sheet" }, this.traced.image, this.canvas, this.guides, this.circle)
    this.stage = element(
      "div",
      { class: "stage", tabindex: 0, role: "application", "aria-label": say("surface"), "aria-describedby": "keys" },
      this.sheet,
    )
    this.status = element("div", { class: "status", role: "status" })
    const keys = element("div", { id: "keys", class: "unseen" }, say("keys"))

    this.layers = new Layers(this.canvas)
    this.view = new View(this.stage, this.sheet)
    this.toolbar = new Toolbar(this)
    this.frame = element("div", { class: "pad" }, this.toolbar.element, this.stage, this.status, keys)
    this.dialog = element("dialog", { "aria-label": say("surface") })
    this.dialog.addEventListener("close", () => this.#home())
    this.element = this.#host()
    this.pointers = new Pointers(this)
    this.#show()
  }

  get drawing() {
    return this.history.drawing
  }

  /** Take the drawing of a workflow; what cannot be read is kept as it is until the person starts anew. */
  /** @param {unknown} text */
  load(text) {
    if (text === this.text) return
    this.text = typeof text === "string" ? text : ""
    try {
      this.history = new History(parseDrawing(text))
      this.broken = false
      this.#show()
    } catch (error) {
      this.history = new History(EMPTY)
      this.broken = true
      this.#show()
      this.warn(say("unreadable", { reason: error instanceof Error ? error.message : "" }))
    }
  }

  /** Change something about the drawing. @param {Partial<Drawing>} change */
  edit(change) {
    const drawing = { ...this.drawing, ...change }
    const text = writeDrawing(drawing)
    if (text.length > LARGEST_TEXT || workOf(drawing) > MOST_WORK) {
      this.layers.show(this.drawing)
      this.warn(say("full"))
      return
    }
    this.history.add(drawing)
    this.#adopt(text)
  }

  /** @param {Stroke} stroke */
  addStroke(stroke) {
    this.edit({ strokes: [...this.drawing.strokes, stroke] })
  }

  clear() {
    if (this.drawing.strokes.length || this.broken) this.edit({ strokes: [] })
  }

  undo() {
    if (this.history.undo()) this.#adopt(writeDrawing(this.drawing))
  }

  redo() {
    if (this.history.redo()) this.#adopt(writeDrawing(this.drawing))
  }

  /** @param {Partial<Brush>} change */
  setBrush(change) {
    Object.assign(this.brush, change)
    this.brush.size = Math.min(LARGEST_BRUSH, Math.max(1, Math.round(this.brush.size)))
    this.toolbar.refresh()
    this.#guide()
  }

  /** Take the size that a run had: an empty canvas follows it, strokes are stretched. */
  /** @param {number} width @param {number} height */
  follow(width, height) {
    if (width === this.drawing.width && height === this.drawing.height) return
    if (this.drawing.strokes.length || this.broken) this.warn(say("stretched", { width, height }))
    else this.edit({ width, height })
  }

  /** Say what hinders. @param {string} message */
  warn(message) {
    this.status.classList.add("warning")
    this.status.textContent = message
  }

  /** Open the pad over the whole window, or bring it back to its node. */
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

  #home() {
    this.element.shadowRoot?.append(this.frame)
    this.toolbar.refresh()
  }

  /** @param {string} text */
  #adopt(text) {
    this.text = text
    this.broken = false
    this.#show()
    this.changed()
  }

  #show() {
    const { width, height, paper, strokes } = this.drawing
    this.layers.show(this.drawing)
    this.view.resize(width, height)
    this.sheet.style.backgroundColor = paper
    this.status.classList.remove("warning")
    this.status.textContent = say("status", { width, height, strokes: strokes.length, size: kilobytes(this.text) })
    this.toolbar.refresh()
    this.#guide()
  }

  #guide() {
    this.guides.classList.toggle("x", this.brush.mirror.includes("x"))
    this.guides.classList.toggle("y", this.brush.mirror.includes("y"))
  }

  /** @returns {HTMLElement} */
  #host() {
    const host = element("div", { class: "zeroconv-pad widget-expands" })
    // The front end leaves Ctrl+Z to a focused element of this type: it has an undo of its own, as the pad does.
    Object.defineProperty(host, "type", { value: "textarea" })
    const style = element("link", { rel: "stylesheet", href: new URL("./pad.css", import.meta.url).href })
    host.attachShadow({ mode: "open", delegatesFocus: false }).append(style, this.frame, this.dialog)
    return host
  }
}

/** @type {(text: string) => string} */
const kilobytes = (text) => (text.length / 1000).toFixed(1)

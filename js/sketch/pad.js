import { Editor } from "../editor/editor.js"
import { LARGEST_TEXT } from "../editor/limits.js"
import { element } from "../elements.js"
import { sayer } from "../strings.js"
import { Brush } from "./brush.js"
import { EMPTY, LARGEST_BRUSH, MOST_WORK, parseDrawing, workOf, writeDrawing } from "./drawing.js"
import { Layers } from "./layers.js"
import { Pointers } from "./pointers.js"
import { Toolbar } from "./toolbar.js"

/** @typedef {import("./drawing.js").Drawing} Drawing */
/** @typedef {import("./drawing.js").Stroke} Stroke */

const say = sayer("sketch", "editor")
const STYLE = new URL("./pad.css", import.meta.url).href

/** A drawing surface with its tools: an element that holds a drawing as text. @extends {Editor<Drawing>} */
export class Pad extends Editor {
  /** @param {() => void} changed called after each change that the person made */
  constructor(changed) {
    super({ empty: EMPTY, write: writeDrawing, say, name: "zeroconv-pad", style: STYLE, changed })
    this.brush = new Brush()

    this.canvas = element("canvas", { width: EMPTY.width, height: EMPTY.height })
    this.circle = element("div", { class: "circle" })
    this.guides = element("div", { class: "guides" })
    this.sheet.append(this.canvas, this.guides, this.circle)

    this.layers = new Layers(this.canvas)
    this.toolbar = new Toolbar(this)
    this.frame.prepend(this.toolbar.element)
    this.pointers = new Pointers(this)
    this.show()
  }

  get drawing() {
    return this.history.content
  }

  /** Take the drawing of a workflow; what cannot be read is kept as it is until the person starts anew. */
  /** @param {unknown} text */
  load(text) {
    if (text === this.text) return
    this.text = typeof text === "string" ? text : ""
    this.begin(() => parseDrawing(text))
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
    this.adopt(text)
  }

  /** @param {Stroke} stroke */
  addStroke(stroke) {
    this.edit({ strokes: [...this.drawing.strokes, stroke] })
  }

  get isBlank() {
    return !this.drawing.strokes.length
  }

  clear() {
    if (!this.isBlank || this.broken) this.edit({ strokes: [] })
  }

  /** @param {Partial<Brush>} change */
  setBrush(change) {
    Object.assign(this.brush, change)
    this.brush.size = Math.min(LARGEST_BRUSH, Math.max(1, Math.round(this.brush.size)))
    this.toolbar.refresh()
    this.#guide()
    this.keep(this.brush)
  }

  /** @param {Partial<Brush>} settings */
  recall(settings) {
    this.setBrush(settings)
  }

  /** Take the size that a run had: an empty canvas follows it, strokes are stretched. */
  /** @param {number} width @param {number} height */
  follow(width, height) {
    if (width === this.drawing.width && height === this.drawing.height) return
    if (this.drawing.strokes.length || this.broken) this.warn(say("stretched", { width, height }))
    else this.edit({ width, height })
  }

  refresh() {
    this.toolbar.refresh()
  }

  show() {
    const { width, height, paper, strokes } = this.drawing
    this.layers.show(this.drawing)
    this.view.resize(width, height)
    this.sheet.style.backgroundColor = paper
    this.inform(say("status", { width, height, strokes: strokes.length, size: kilobytes(this.text) }))
    this.refresh()
    this.#guide()
  }

  #guide() {
    this.guides.classList.toggle("x", this.brush.mirror.includes("x"))
    this.guides.classList.toggle("y", this.brush.mirror.includes("y"))
  }
}

/** @type {(text: string) => string} */
const kilobytes = (text) => (text.length / 1000).toFixed(1)

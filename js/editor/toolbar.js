import { element, iconButton, name, press } from "../elements.js"
import { LARGEST, SMALLEST } from "./limits.js"

/** Canvas sizes to choose from: those that SD1.5 and SDXL are trained on. */
const SIZES = [
  [512, 512],
  [512, 768],
  [768, 512],
  [768, 768],
  [1024, 1024],
  [832, 1216],
  [1216, 832],
]

/** The tools that every editor has. @template {import("./editor.js").Editor<any>} Kind */
export class EditorToolbar {
  /** @param {Kind} editor */
  constructor(editor) {
    const { say } = editor.traits
    this.editor = editor
    this.undo = iconButton("undo", say("undo"), () => editor.undo())
    this.redo = iconButton("redo", say("redo"), () => editor.redo())
    this.clear = iconButton("clear", say("clear"), () => editor.clear())
    this.width = this.#edge("width")
    this.height = this.#edge("height")
    this.swap = iconButton("swap", say("swap"), () => this.#swap())
    this.sizes = this.#sizePicker()
    this.fit = iconButton("fit", say("fit"), () => editor.view.fit())
    this.live = iconButton("live", say("live"), () => editor.live?.switch(!editor.live.on))
    this.live.hidden = true
    this.large = iconButton("large", say("large"), () => editor.toggleLarge())
    this.element = element("div", { class: "toolbar", role: "toolbar", "aria-label": say("tools") })
  }

  /** Width times height, and what sets both. @returns {HTMLElement[]} */
  get canvasSize() {
    return [this.width, element("span", { class: "times" }, "×"), this.height, this.swap, this.sizes]
  }

  /** Show what the editor is set to. */
  refresh() {
    const { history, isBlank, broken, dialog, live, traits } = this.editor
    this.undo.disabled = !history.past.length
    this.redo.disabled = !history.future.length
    this.clear.disabled = isBlank && !broken
    this.width.value = String(history.content.width)
    this.height.value = String(history.content.height)
    this.live.hidden = !live
    press(this.live, Boolean(live?.on))
    this.live.classList.toggle("running", Boolean(live?.running))
    press(this.large, dialog.open)
    name(this.large, traits.say(dialog.open ? "small" : "large"))
  }

  #swap() {
    const { width, height } = this.editor.history.content
    this.editor.edit({ width: height, height: width })
  }

  #sizePicker() {
    const label = this.editor.traits.say("sizes")
    const options = SIZES.map(([width, height]) => element("option", { value: `${width} ${height}` }, `${width} × ${height}`))
    const blank = element("option", { value: "" }, label)
    const picker = element("select", { class: "sizes", "aria-label": label, title: label }, blank, ...options)
    picker.addEventListener("change", () => {
      const [width, height] = picker.value.split(" ").map(Number)
      picker.value = ""
      if (height) this.editor.edit({ width, height })
    })
    return picker
  }

  /** @param {"width" | "height"} side */
  #edge(side) {
    const { editor } = this
    const label = editor.traits.say(side)
    const field = element("input", { type: "number", min: SMALLEST, max: LARGEST, step: 8, title: label })
    field.setAttribute("aria-label", label)
    field.addEventListener("change", () => {
      const edge = Math.round(Number(field.value)) || editor.history.content[side]
      editor.edit({ [side]: Math.min(LARGEST, Math.max(SMALLEST, edge)) })
    })
    return field
  }
}

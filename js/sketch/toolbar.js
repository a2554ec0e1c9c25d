import { EditorToolbar } from "../editor/toolbar.js"
import { element, group, iconButton, name, press } from "../elements.js"
import { sayer } from "../strings.js"
import { LARGEST_BRUSH } from "./drawing.js"

/** @typedef {import("./pad.js").Pad} Pad */
/** @typedef {import("./drawing.js").Tool} Tool */
/** @typedef {import("./drawing.js").Mirror} Mirror */

const say = sayer("sketch", "editor")

/** @type {Tool[]} */
const TOOLS = ["pen", "eraser", "fill"]
/** @type {Mirror[]} */
const MIRRORS = ["", "x", "y", "xy"]
const SCRIBBLE = ["#ffffff", "#000000"]

/** @type {Promise<[string, string][]> | undefined} */
let classes

/** Names and colors of the 150 classes of ADE20K, fetched once. @returns {Promise<[string, string][]>} */
function segmentationClasses() {
  classes ??= fetch(new URL("./ade20k.json", import.meta.url)).then((answer) => (answer.ok ? answer.json() : []))
  return classes
}

/** The tools of a pad. @extends {EditorToolbar<Pad>} */
export class Toolbar extends EditorToolbar {
  /** @param {Pad} pad */
  constructor(pad) {
    super(pad)
    this.pad = pad
    this.tools = TOOLS.map((tool) => iconButton(tool, say(tool), () => pad.setBrush({ tool })))
    this.size = this.#sizeSlider()
    this.sizeText = element("output", { class: "number" })
    this.swatches = SCRIBBLE.map((color) => this.#swatch(color))
    this.color = this.#colorField("color", (color) => this.#draw(color))
    this.classes = this.#classPicker()
    this.mirror = iconButton("mirror", say("mirror"), () => this.nextMirror())
    this.paper = this.#colorField("paper", (paper) => pad.edit({ paper }))
    this.element.append(
      group(say("tools"), ...this.tools),
      group(say("size"), this.size, this.sizeText),
      group(say("color"), ...this.swatches, this.color, this.classes),
      group(say("edit"), this.undo, this.redo, this.clear),
      group(say("help"), this.mirror, pad.traced.button, pad.traced.opacity),
      group(say("canvas"), this.paper, ...this.canvasSize),
      group(say("show"), this.live, this.fit, this.large),
    )
  }

  /** Show what the pad is set to. */
  refresh() {
    super.refresh()
    const { brush, drawing } = this.pad
    this.tools.forEach((button, place) => press(button, TOOLS[place] === brush.tool))
    this.swatches.forEach((button, place) => press(button, SCRIBBLE[place] === brush.color))
    this.size.value = String(Math.round(Math.sqrt(brush.size) * 10))
    this.sizeText.textContent = String(brush.size)
    this.color.value = brush.color
    // Road and skyscraper share a color: the one that was chosen stays.
    if (this.classes.value !== brush.color) {
      this.classes.value = [...this.classes.options].some(({ value }) => value === brush.color) ? brush.color : ""
    }
    press(this.mirror, brush.mirror !== "")
    name(this.mirror, say("mirror", { axes: say(`mirror_${brush.mirror || "off"}`) }))
    this.mirror.style.rotate = brush.mirror === "y" ? "90deg" : brush.mirror === "xy" ? "45deg" : ""
    this.paper.value = drawing.paper
  }

  nextMirror() {
    const { mirror } = this.pad.brush
    this.pad.setBrush({ mirror: MIRRORS[(MIRRORS.indexOf(mirror) + 1) % MIRRORS.length] })
  }

  /** A color is for drawing: the eraser is put away. @param {string} color */
  #draw(color) {
    const { tool } = this.pad.brush
    this.pad.setBrush({ color, tool: tool === "eraser" ? "pen" : tool })
  }

  #sizeSlider() {
    const most = Math.round(Math.sqrt(LARGEST_BRUSH) * 10)
    const slider = element("input", { type: "range", min: 10, max: most, "aria-label": say("size"), title: say("size") })
    slider.addEventListener("input", () => this.pad.setBrush({ size: (Number(slider.value) / 10) ** 2 }))
    return slider
  }

  /** @param {string} color */
  #swatch(color) {
    const label = say(color === "#ffffff" ? "white" : "black")
    const button = element("button", { type: "button", class: "swatch", "aria-label": label, title: label })
    button.style.backgroundColor = color
    button.addEventListener("click", () => this.#draw(color))
    return button
  }

  /** @param {string} label @param {(color: string) => void} chosen */
  #colorField(label, chosen) {
    const field = element("input", { type: "color", class: label, "aria-label": say(label), title: say(label) })
    field.addEventListener("change", () => chosen(field.value))
    return field
  }

  #classPicker() {
    const first = element("option", { value: "" }, say("class"))
    const picker = element("select", { "aria-label": say("class"), title: say("class") }, first)
    picker.addEventListener("change", () => picker.value && this.#draw(picker.value))
    segmentationClasses().then((rows) => {
      for (const [label, color] of rows.toSorted((one, other) => one[0].localeCompare(other[0]))) {
        const option = element("option", { value: color }, label)
        option.style.borderLeft = `1.2em solid ${color}`
        option.style.backgroundColor = color
        option.style.color = bright(color) ? "#000" : "#fff"
        picker.append(option)
      }
      this.refresh()
    })
    return picker
  }
}

/** Whether black text reads better on a color than white (luma of ITU-R BT.601). @param {string} color */
function bright(color) {
  const value = Number.parseInt(color.slice(1), 16)
  return 0.299 * (value >> 16) + 0.587 * ((value >> 8) & 255) + 0.114 * (value & 255) > 140
}

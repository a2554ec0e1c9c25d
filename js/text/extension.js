import { app } from "../../../scripts/app.js"
import { element } from "../elements.js"
import { loadStrings, sayer } from "../strings.js"

/** The nodes whose result is a text for people. */
const NODES = new Set([
  "ZeroConvInspect",
  "ZeroConvConvert",
  "ZeroConvFetchWeights",
  "ZeroConvSavePoses",
  "ZeroConvTrainingFolder",
  "ZeroConvTrainingImages",
])
/** Pixels: of the box, and around it. */
const LEAST_HEIGHT = 60
const MOST_HEIGHT = 420
const MARGIN = 10
/** The box is at its place once it is wider; before, its text would be a line for each letter. */
const PLACED = 100

const say = sayer("text")

/** What a run of a node told, as text on the node; ComfyUI shows such text on its own nodes only. */
class TextBox {
  /** @param {any} node */
  constructor(node) {
    this.node = node
    this.text = element("div", { class: "text", role: "status", tabindex: 0, "data-empty": say("empty") })
    this.element = element("div", { class: "zeroconv-text" })
    const style = element("link", { rel: "stylesheet", href: new URL("./text.css", import.meta.url).href })
    this.element.attachShadow({ mode: "open" }).append(style, this.text)
    // Text is there to be selected and copied: the node must not be dragged by it, nor its own copy be taken.
    for (const name of ["pointerdown", "dblclick", "copy"]) {
      this.element.addEventListener(name, (event) => event.stopPropagation())
    }
    new ResizeObserver(() => this.#makeRoom()).observe(this.text)
    this.widget = node.addDOMWidget("text_of_run", "ZEROCONV_TEXT", this.element, {
      getValue: () => "",
      setValue: () => {},
      getMinHeight: () => this.height,
      margin: MARGIN,
      hideOnZoom: false,
      serialize: false,
    })
    this.widget.serialize = false
  }

  /** Pixels that the text takes at the node's width, as far as it is shown without scrolling. @returns {number} */
  get height() {
    if (this.text.clientWidth < PLACED) return LEAST_HEIGHT
    return Math.min(MOST_HEIGHT, this.text.scrollHeight + 2 * MARGIN)
  }

  /** @param {string} text */
  show(text) {
    this.text.textContent = text
    this.#makeRoom()
  }

  #makeRoom() {
    const { node } = this
    const least = node.computeSize()[1]
    if (node.size[1] < least) node.setSize([node.size[0], least])
    node.setDirtyCanvas?.(true, true)
  }
}

/** @param {any} node */
function showTexts(node) {
  const box = new TextBox(node)
  const show = (/** @type {any} */ output) => {
    const text = output?.text
    if (text) box.show(Array.isArray(text) ? text.join("\n") : String(text))
  }
  const executed = node.onExecuted
  node.onExecuted = (/** @type {any} */ output) => {
    executed?.call(node, output)
    show(output)
  }
  const configured = node.onConfigure
  node.onConfigure = (/** @type {any[]} */ ...values) => {
    configured?.apply(node, values)
    // A workflow that one comes back to has the results of its last run, and does not run again for them.
    setTimeout(() => show(/** @type {any} */ (app).nodeOutputs?.[node.id]))
  }
}

app.registerExtension({
  name: "ZeroConv.Text",
  init: loadStrings,
  nodeCreated(node) {
    if (NODES.has(String(node.comfyClass))) showTexts(node)
  },
})

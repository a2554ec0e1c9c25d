import { api } from "../../../scripts/api.js"
import { app } from "../../../scripts/app.js"
import { element, icon, press } from "../elements.js"
import { Live } from "../live.js"
import { pathOf, runOnly } from "../partialRun.js"
import { loadStrings, sayer } from "../strings.js"
import { openComparison } from "./comparison.js"
import { WeightsButton } from "./weights.js"

const CATEGORY = "ZeroConv/preprocess"
/** Pixels: of the row, and around it. */
const HEIGHT = 40
const MARGIN = 5
const PICTURE_HEIGHT = 240
/** The widget of the node that offers all methods. */
const METHOD = "method"

const say = sayer("hint")

/** @param {any} node */
const makesHint = (node) => {
  const description = node.constructor?.nodeData
  return description?.category?.startsWith(CATEGORY) && description.output_node && node.findInputSlot("image") >= 0
}

/** The row of a preprocessor node: run it alone, at once or at each change, and compare the hint with its input. */
class HintTools {
  /** @param {any} node */
  constructor(node) {
    this.node = node
    this.running = false
    /** Addresses of the input's picture and the hint's. @type {[string, string] | null} */
    this.pictures = null
    this.preview = this.#button("play", "preview", () => this.run())
    this.live = new Live(
      node,
      () => [node],
      () => this.#showLive(),
    )
    this.liveButton = this.#button("live", "live", () => this.live.switch(!this.live.on))
    this.compare = this.#button("compare", "compare", () => this.pictures && openComparison(...this.pictures))
    this.compare.disabled = true
    this.weights = new WeightsButton(() => this.#method(), (lacks) => this.#lacksWeights(lacks))
    this.element = this.#host()
  }

  async run() {
    const target = pathOf(this.node)
    if (this.running || !target) return
    this.running = true
    this.preview.classList.add("running")
    try {
      await runOnly([target], this.node.title)
    } finally {
      this.running = false
      this.preview.classList.remove("running")
    }
  }

  /** A setting of the node is another one. @param {string} name */
  changed(name) {
    if (name === METHOD) this.weights.look()
    this.live.changed()
  }

  /** The chosen method of a node that offers all, else the node, which is a method's. */
  #method() {
    const choice = this.node.widgets?.find((/** @type {any} */ { name }) => name === METHOD)
    return String(choice?.value ?? this.node.comfyClass)
  }

  /** Without its weights a method does not run: what fetches them takes that place. @param {boolean} lacks */
  #lacksWeights(lacks) {
    for (const button of [this.preview, this.liveButton, this.compare]) button.hidden = lacks
  }

  /** @param {any} output of the run */
  show(output) {
    const [before] = output?.zeroconv_before ?? []
    const [after] = output?.images ?? []
    this.pictures = before && after ? [address(before), address(after)] : null
    this.compare.disabled = !this.pictures
  }

  #showLive() {
    press(this.liveButton, this.live.on)
    this.liveButton.classList.toggle("running", this.live.running)
  }

  /** @param {import("../elements.js").Icon} picture @param {string} name @param {() => void} act */
  #button(picture, name, act) {
    const button = element("button", { type: "button", title: say(`${name}_tip`) }, icon(picture), say(name))
    button.addEventListener("click", act)
    return button
  }

  #host() {
    const host = element("div", { class: "zeroconv-hint" })
    const style = element("link", { rel: "stylesheet", href: new URL("./hint.css", import.meta.url).href })
    const tools = [this.weights.element, this.preview, this.liveButton, this.compare]
    const row = element("div", { class: "tools", role: "toolbar", "aria-label": say("tools") }, ...tools)
    press(this.liveButton, false)
    host.attachShadow({ mode: "open" }).append(style, row)
    for (const name of ["pointerdown", "dblclick"]) row.addEventListener(name, (event) => event.stopPropagation())
    return host
  }
}

/** @param {Record<string, string>} file as a run names it @returns {string} */
const address = (file) => api.apiURL(`/view?${new URLSearchParams(file)}`)

/** @param {any} node */
function addTools(node) {
  const tools = new HintTools(node)
  for (const widget of node.widgets ?? []) {
    const before = widget.callback
    widget.callback = (/** @type {any[]} */ ...values) => {
      before?.apply(widget, values)
      tools.changed(widget.name)
    }
  }
  const before = node.onExecuted
  node.onExecuted = (/** @type {any} */ output) => {
    before?.call(node, output)
    tools.show(output)
    // The classic canvas draws the pictures below the row, and does not make room for them by itself.
    const least = (row.y ?? 0) + HEIGHT + PICTURE_HEIGHT
    if (node.size[1] < least) node.setSize([node.size[0], least])
  }
  const configured = node.onConfigure
  node.onConfigure = (/** @type {any[]} */ ...values) => {
    configured?.apply(node, values)
    tools.weights.look()
  }
  tools.weights.look()
  const row = node.addDOMWidget("hint_tools", "ZEROCONV_HINT_TOOLS", tools.element, {
    getValue: () => "",
    setValue: () => {},
    getMinHeight: () => HEIGHT,
    getMaxHeight: () => HEIGHT,
    margin: MARGIN,
    hideOnZoom: false,
    serialize: false,
  })
  row.serialize = false
  node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])])
}

app.registerExtension({
  name: "ZeroConv.Hint",
  init: loadStrings,
  nodeCreated(node) {
    if (makesHint(node)) addTools(node)
  },
})

import { api } from "../../../scripts/api.js"
import { app } from "../../../scripts/app.js"
import { following, noteChange } from "../graph.js"
import { Live } from "../live.js"
import { loadStrings } from "../strings.js"

const LEAST_WIDTH = 460
const LEAST_HEIGHT = 500

/** @typedef {import("./editor.js").Editor<any>} AnyEditor */
/**
 * @template {AnyEditor} Kind
 * @typedef {object} Registration
 * @property {string} name of the extension
 * @property {string} node the node that the editor is made for
 * @property {string} type what the input names as its widget
 * @property {number} surroundings height of what else is on the node, in pixels
 * @property {new (changed: () => void) => Kind} Editor
 * @property {(editor: Kind, output: any) => void} ran takes what a run tells the node
 */

/**
 * Make an editor the widget of every input that asks for it.
 * @template {AnyEditor} Kind
 * @param {Registration<Kind>} registration
 */
export function registerEditor(registration) {
  app.registerExtension({
    name: registration.name,
    init: loadStrings,
    getCustomWidgets: () => ({
      [registration.type]: (/** @type {any} */ node, /** @type {string} */ input) => widgetOf(registration, node, input),
    }),
  })
}

/**
 * @template {AnyEditor} Kind
 * @param {Registration<Kind>} registration
 * @param {any} node
 * @param {string} input
 */
function widgetOf({ node: made, type, surroundings, Editor, ran }, node, input) {
  const editor = new Editor(() => {
    widget.callback?.(widget.value)
    node.setDirtyCanvas?.(true)
    noteChange()
    editor.live?.changed()
  })
  const widget = node.addDOMWidget(input, type, editor.element, {
    getValue: () => editor.text,
    setValue: (/** @type {unknown} */ text) => editor.load(text),
    getMinHeight: () => LEAST_HEIGHT,
    hideOnZoom: false,
    socketless: true,
  })
  keepSettings(node, editor, type)
  if (node.comfyClass === made) {
    traceWiredImage(node, editor)
    editor.live = new Live(node, () => outputsAfter(node), () => editor.refresh(), true)
    editor.live.nothing = () => editor.warn(editor.traits.say("live_nothing"))
    editor.refresh()
    const before = node.onExecuted
    node.onExecuted = (/** @type {any} */ output) => {
      before?.call(node, output)
      ran(editor, output ?? {})
      const [file] = output?.zeroconv_traced ?? []
      if (file) editor.traced.show(api.apiURL(`/view?${new URLSearchParams(file)}`))
    }
  }
  return { widget, minWidth: LEAST_WIDTH, minHeight: LEAST_HEIGHT + surroundings }
}

/** The nodes that show or save what comes of a node. @param {any} node @returns {any[]} */
function outputsAfter(node) {
  const after = [...following(node)].filter((each) => each !== node)
  return after.filter((each) => each.constructor?.nodeData?.output_node)
}

/**
 * Let what the tools are set to outlive the node, which an undo of the graph and a reload make anew.
 * @param {any} node
 * @param {AnyEditor} editor
 * @param {string} type
 */
function keepSettings(node, editor, type) {
  const key = () => `zeroconv.${type}.${node.id}`
  editor.keep = (settings) => sessionStorage.setItem(key(), JSON.stringify(settings))
  const before = node.onConfigure
  node.onConfigure = (/** @type {any[]} */ ...values) => {
    before?.apply(node, values)
    const kept = sessionStorage.getItem(key())
    if (kept) editor.recall(JSON.parse(kept))
  }
}

/**
 * Lay the wired picture under the drawing as soon as its node shows it; a run does so at the latest.
 * @param {any} node
 * @param {AnyEditor} editor
 */
function traceWiredImage(node, editor) {
  let seen = ""
  editor.element.addEventListener("pointerenter", () => {
    const address = node.getInputNode(node.findInputSlot("image"))?.imgs?.[0]?.src
    if (!address || address === seen) return
    seen = address
    editor.traced.show(address)
  })
}

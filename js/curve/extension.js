import { app } from "../../../scripts/app.js"
import { loadStrings } from "../strings.js"
import { CurveEditor } from "./editor.js"
import { samplerBehind, stepsOf } from "./samplers.js"

const NODE = "ZeroConvSchedule"
const HEIGHT = 230
const LEAST_SIZE = [400, 400]

/**
 * Give a schedule node its curve: beside the text, which stays the only thing that is saved.
 * @param {any} node
 */
function addCurve(node) {
  /** @param {string} name */
  const widget = (name) => node.widgets.find((/** @type {any} */ { name: each }) => each === name)
  const [text, counting] = [widget("keyframes"), widget("counting")]
  const editor = new CurveEditor((written) => {
    text.value = written
    text.callback?.(written)
    node.setDirtyCanvas?.(true, true)
  })
  const show = () => editor.show(String(text.value), String(counting.value))
  const markSteps = async () => {
    const settings = samplerBehind(node)
    editor.markSteps(settings && (await stepsOf(settings)))
  }
  for (const each of [text, counting]) {
    const before = each.callback
    each.callback = (/** @type {any[]} */ ...values) => {
      before?.apply(each, values)
      show()
    }
  }
  // Values also change without a callback: when a workflow is opened, or by other packs.
  editor.element.addEventListener("pointerenter", () => {
    show()
    markSteps()
  })
  for (const name of ["onConfigure", "onConnectionsChange"]) {
    const before = node[name]
    node[name] = (/** @type {any[]} */ ...values) => {
      const result = before?.apply(node, values)
      show()
      // The wires of a workflow that is being opened are not all there yet.
      setTimeout(markSteps)
      return result
    }
  }
  const curve = node.addDOMWidget("curve", "ZEROCONV_CURVE", editor.element, {
    getValue: () => "",
    setValue: () => {},
    getMinHeight: () => HEIGHT,
    getMaxHeight: () => 2 * HEIGHT,
    hideOnZoom: false,
    serialize: false,
  })
  curve.serialize = false
  node.setSize([Math.max(node.size[0], LEAST_SIZE[0]), Math.max(node.size[1], LEAST_SIZE[1])])
  show()
}

app.registerExtension({
  name: "ZeroConv.Curve",
  init: loadStrings,
  nodeCreated(node) {
    if (node.comfyClass === NODE) addCurve(node)
  },
})

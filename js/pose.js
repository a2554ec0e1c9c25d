import { app } from "../../scripts/app.js"
import { PoseEditor } from "./poseEditor.js"
import { loadStrings } from "./strings.js"

const NODE = "ZeroConvPose"
const LEAST_WIDTH = 460
const LEAST_HEIGHT = 500

/**
 * The editor as the widget of the input `poses`.
 * @param {any} node
 * @param {string} name
 */
function posesWidget(node, name) {
  const editor = new PoseEditor(() => {
    widget.callback?.(widget.value)
    node.setDirtyCanvas?.(true)
  })
  const widget = node.addDOMWidget(name, "ZEROCONV_POSES", editor.element, {
    getValue: () => editor.text,
    setValue: (/** @type {unknown} */ text) => editor.load(text),
    getMinHeight: () => LEAST_HEIGHT,
    hideOnZoom: false,
    socketless: true,
  })
  if (node.comfyClass === NODE) followRuns(node, editor)
  return { widget, minWidth: LEAST_WIDTH, minHeight: LEAST_HEIGHT + 110 }
}

/**
 * Show the wired poses after a run.
 * @param {any} node
 * @param {PoseEditor} editor
 */
function followRuns(node, editor) {
  const before = node.onExecuted
  node.onExecuted = (/** @type {any} */ output) => {
    before?.call(node, output)
    const [frame] = output?.zeroconv_poses ?? []
    if (frame) editor.follow(frame)
  }
}

app.registerExtension({
  name: "ZeroConv.Pose",
  init: loadStrings,
  getCustomWidgets: () => ({ ZEROCONV_POSES: posesWidget }),
})

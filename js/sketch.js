import { api } from "../../scripts/api.js"
import { app } from "../../scripts/app.js"
import { Pad } from "./pad.js"
import { loadStrings } from "./strings.js"

/** @typedef {import("@comfyorg/comfyui-frontend-types").ComfyApp} ComfyApp */

const NODE = "ZeroConvSketch"
const LEAST_WIDTH = 460
const LEAST_HEIGHT = 500

/**
 * The pad as the widget of the input `drawing`.
 * @param {any} node
 * @param {string} name
 */
function drawingWidget(node, name) {
  const pad = new Pad(() => {
    widget.callback?.(widget.value)
    node.setDirtyCanvas?.(true)
  })
  const widget = node.addDOMWidget(name, "ZEROCONV_DRAWING", pad.element, {
    getValue: () => pad.text,
    setValue: (/** @type {unknown} */ text) => pad.load(text),
    getMinHeight: () => LEAST_HEIGHT,
    hideOnZoom: false,
    socketless: true,
  })
  if (node.comfyClass === NODE) traceWiredImage(node, pad)
  return { widget, minWidth: LEAST_WIDTH, minHeight: LEAST_HEIGHT + 80 }
}

/**
 * Lay the wired picture under the strokes: as soon as its node shows it, at the latest after a run.
 * @param {any} node
 * @param {Pad} pad
 */
function traceWiredImage(node, pad) {
  /** @param {string} address */
  const trace = (address) => {
    pad.traced.show(address)
    pad.toolbar.refresh()
  }
  let seen = ""
  pad.element.addEventListener("pointerenter", () => {
    const place = node.findInputSlot("image")
    const address = node.getInputNode(place)?.imgs?.[0]?.src
    if (!address || address === seen) return
    seen = address
    trace(address)
  })
  const before = node.onExecuted
  node.onExecuted = (/** @type {any} */ output) => {
    before?.call(node, output)
    const [width, height] = output?.zeroconv_size ?? []
    if (width && height) pad.follow(width, height)
    const [file] = output?.zeroconv_traced ?? []
    if (file) trace(api.apiURL(`/view?${new URLSearchParams(file)}`))
  }
}

app.registerExtension({
  name: "ZeroConv.Sketch",
  init: loadStrings,
  getCustomWidgets: () => ({ ZEROCONV_DRAWING: drawingWidget }),
})

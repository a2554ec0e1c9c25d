import { app } from "../../../scripts/app.js"
import { samplerBehind } from "../curve/samplers.js"

const NODE = "ZeroConvPreviewSteps"

/**
 * Let a node that forecasts a run take the settings of the sampler that its prompt goes to: as soon as it is wired, and
 * at the latest when the graph is queued. Without such a sampler its own fields count.
 * @param {any} node
 */
function followSampler(node) {
  /** Shown on the node and saved with it, so that what was forecast can be read there. */
  const follow = () => {
    const source = node.getInputNode(node.findInputSlot("conditioning"))
    const settings = (source && samplerBehind(source)) ?? {}
    for (const widget of node.widgets) {
      if (!(widget.name in settings)) continue
      const value = settings[widget.name]
      widget.value = typeof widget.value === "number" ? Number(value) : value
    }
  }
  for (const widget of node.widgets) {
    widget.serializeValue = () => {
      follow()
      return widget.value
    }
  }
  for (const name of ["onConfigure", "onConnectionsChange"]) {
    const before = node[name]
    node[name] = (/** @type {any[]} */ ...values) => {
      const result = before?.apply(node, values)
      // The wires of a workflow that is being opened are not all there yet.
      setTimeout(follow)
      return result
    }
  }
}

app.registerExtension({
  name: "ZeroConv.PreviewSteps",
  nodeCreated(node) {
    if (node.comfyClass === NODE) followSampler(node)
  },
})

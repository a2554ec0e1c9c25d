import { app } from "../../scripts/app.js"

/**
 * Width and height at which nodes open whose result is read on them, at least, in pixels; those of a saved workflow
 * open as they were.
 * @type {Record<string, [number, number]>}
 */
const LEAST = {
  ZeroConvInspect: [400, 0],
  ZeroConvConvert: [400, 0],
  ZeroConvFetchWeights: [400, 0],
  ZeroConvTrainingFolder: [400, 0],
  ZeroConvTrainingImages: [400, 0],
  ZeroConvSavePoses: [400, 0],
  ZeroConvReport: [720, 480],
  ZeroConvPreviewSteps: [720, 620],
  ZeroConvPreviewHint: [460, 480],
  ZeroConvDifference: [460, 480],
  ZeroConvTrain: [720, 900],
}

app.registerExtension({
  name: "ZeroConv.Sizes",
  nodeCreated(node) {
    const least = LEAST[/** @type {any} */ (node).comfyClass]
    if (least) node.setSize([Math.max(node.size[0], least[0]), Math.max(node.size[1], least[1])])
  },
})

import { registerEditor } from "../editor/widget.js"
import { Pad } from "./pad.js"

registerEditor({
  name: "ZeroConv.Sketch",
  node: "ZeroConvSketch",
  type: "ZEROCONV_DRAWING",
  surroundings: 80,
  Editor: Pad,
  ran(pad, { zeroconv_size: [width, height] = [] }) {
    if (width && height) pad.follow(width, height)
  },
})

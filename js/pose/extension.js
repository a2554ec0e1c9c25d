import { registerEditor } from "../editor/widget.js"
import { PoseEditor } from "./editor.js"

registerEditor({
  name: "ZeroConv.Pose",
  node: "ZeroConvPose",
  type: "ZEROCONV_POSES",
  surroundings: 130,
  Editor: PoseEditor,
  ran(editor, { zeroconv_poses: [frame] = [] }) {
    if (frame) editor.follow(frame)
  },
})

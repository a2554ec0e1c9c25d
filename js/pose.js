import { registerEditor } from "./editorWidget.js"
import { PoseEditor } from "./poseEditor.js"

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

"""Save poses to files, and load them again."""

from typing import Any

from comfy_api.latest import io

from ...host.preprocessing.pose_files import list_pose_files, load_pose_file, save_pose_file, state_of
from ...preprocessors.pose.files import FILM_LAYOUTS, Canvas, FilmLayout
from ...preprocessors.pose.keypoints import to_pose_keypoint
from ...preprocessors.pose.read_keypoints import from_pose_keypoint
from ...preprocessors.sizes import LONGEST
from ..compat import schema
from ..sockets import POSE_KEYPOINT


class ZeroConvSavePoses(io.ComfyNode):
    """Write poses into the output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvSavePoses",
            display_name="Save Poses",
            category="ZeroConv/draw",
            description="Saves poses as OpenPose JSON in the output folder, one file for a film or one a frame.",
            search_aliases=["save pose keypoints", "pose json", "SavePoseKpsAsJsonFile", "openpose json"],
            is_output_node=True,
            inputs=[
                POSE_KEYPOINT.Input("keypoints", tooltip="From a pose preprocessor, or from Pose."),
                io.String.Input("name", default="pose", tooltip="Name of the file; a number is put behind it."),
                io.Combo.Input(
                    "layout",
                    options=list(FILM_LAYOUTS),
                    tooltip="One file with all frames, or a folder with a file for each, as OpenPose writes them.",
                ),
            ],
            outputs=[POSE_KEYPOINT.Output(display_name="keypoints", tooltip="The same poses.")],
        )

    @classmethod
    def execute(cls, keypoints: object, name: str, layout: FilmLayout) -> io.NodeOutput:
        report = save_pose_file(name, from_pose_keypoint(keypoints), layout)
        return io.NodeOutput(keypoints, ui={"text": (report,)})


class ZeroConvLoadPoses(io.ComfyNode):
    """Read poses from the input or output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        size: dict[str, Any] = {"default": 0, "min": 0, "max": LONGEST}
        tooltip = "Only for files that do not tell the size of the picture, as OpenPose's own. 0: the file tells it."
        return schema(
            node_id="ZeroConvLoadPoses",
            display_name="Load Poses",
            category="ZeroConv/draw",
            description="Loads poses from OpenPose JSON: a file, or a folder with a file for each frame of a film.",
            search_aliases=["load pose keypoints", "pose json", "openpose json", "import pose"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=list_pose_files(),
                    tooltip="A .json file in ComfyUI's input or output folder, or a folder of such files.",
                ),
                io.Int.Input("canvas_width", **size, tooltip=tooltip),
                io.Int.Input("canvas_height", **size, tooltip=tooltip),
            ],
            outputs=[
                POSE_KEYPOINT.Output(
                    display_name="keypoints", tooltip="One frame a picture, for Pose or any node that takes keypoints."
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, file: str, canvas_width: int, canvas_height: int) -> str:
        return state_of(file)

    @classmethod
    def execute(cls, file: str, canvas_width: int, canvas_height: int) -> io.NodeOutput:
        frames = load_pose_file(file, Canvas(canvas_height, canvas_width))
        return io.NodeOutput(to_pose_keypoint(frames))


NODES = [ZeroConvSavePoses, ZeroConvLoadPoses]

"""Pose people on the node itself."""

from typing import Any, cast

import torch
from comfy_api.latest import io, ui

from ...host.preprocessing.run import HostProgress
from ...preprocessors.pose.document import parse_poses, within_limits
from ...preprocessors.pose.drawing.canvas import SKELETONS, Skeleton
from ...preprocessors.pose.drawing.poses import draw_frames
from ...preprocessors.pose.drawing.style import pose_style
from ...preprocessors.pose.keypoints import PoseFrame, to_pose_keypoint
from ...preprocessors.pose.read_keypoints import from_pose_keypoint
from ..compat import schema
from ..sockets import POSE_KEYPOINT

EMPTY = PoseFrame(512, 512)


class ZeroConvPose(io.ComfyNode):
    """The pose editor: skeletons of the workflow file, or wired ones, become a picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvPose",
            display_name="Draw Pose",
            category="ZeroConv/draw",
            description=(
                "People as skeletons to drag, drawn as OpenPose ControlNets expect them. Start from a preset, or from "
                "the poses that a preprocessor found. The poses are saved in the workflow."
            ),
            search_aliases=["openpose editor", "pose editor", "skeleton", "stick figure", "draw keypoints"],
            inputs=[
                _poses(),
                io.Boolean.Input(
                    "thick_limbs",
                    default=False,
                    tooltip="Draw limbs thicker on larger pictures, as xinsir's SDXL OpenPose ControlNet expects.",
                ),
                POSE_KEYPOINT.Input(
                    "keypoints",
                    optional=True,
                    tooltip="Poses to draw and to start from. The editor shows the first picture's after a run; once "
                    "you change something, your poses are drawn instead.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="A picture to trace over: the editor shows it below the people, and an empty canvas gets "
                    "its size. It is never part of the result.",
                ),
                io.Combo.Input(
                    "skeleton",
                    options=list(SKELETONS),
                    default=SKELETONS[0],
                    optional=True,
                    tooltip="How bodies are drawn. openpose: as nearly all pose ControlNets expect them. openpose_feet "
                    "and body_25: with the feet of wired keypoints. coco_wholebody: thin lines in mmpose's colors.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The skeletons on black."),
                POSE_KEYPOINT.Output(display_name="keypoints", tooltip="The same poses in OpenPose's format."),
            ],
        )

    @classmethod
    def execute(
        cls,
        poses: str,
        thick_limbs: bool,
        keypoints: object = None,
        image: torch.Tensor | None = None,
        skeleton: Skeleton = SKELETONS[0],
    ) -> io.NodeOutput:
        empty = EMPTY if image is None else PoseFrame(image.shape[1], image.shape[2])
        frames = _frames(poses, keypoints, empty)
        style = {"body": True, "hands": True, "face": True, "thick_limbs": thick_limbs, "skeleton": skeleton}
        if len({(frame.height, frame.width) for frame in frames}) > 1:
            raise ValueError("The wired poses have canvases of different sizes: draw them one by one.")
        progress, pictures = HostProgress(), []
        for place, frame in enumerate(frames):
            progress(place, len(frames))
            pictures.append(draw_frames([frame], pose_style(style, frame.height, frame.width)))
        shown = to_pose_keypoint([within_limits(frames[0])])
        traced = [] if image is None else ui.PreviewImage(image[:1, ..., :3], cls=cast(Any, cls)).as_dict()["images"]
        messages = {"zeroconv_poses": shown, "zeroconv_traced": traced}
        return io.NodeOutput(torch.cat(pictures), to_pose_keypoint(frames), ui=messages)


def _frames(poses: str, keypoints: object, empty: PoseFrame) -> list[PoseFrame]:
    """The editor's own poses, or else the wired ones, or else an empty canvas."""
    own = parse_poses(poses)
    if own is not None:
        return [own]
    return from_pose_keypoint(keypoints) or [empty]


def _poses() -> io.Input:
    """A text whose widget is the editor of js/pose/."""
    tooltip = "The poses, as the editor writes them (one OpenPose frame as JSON). Empty: the wired keypoints."
    text = io.String.Input("poses", default="", socketless=True, tooltip=tooltip)
    # Set afterwards: the constructor of older hosts does not take it.
    text.extra_dict = {"widgetType": "ZEROCONV_POSES"}
    return text


NODES = [ZeroConvPose]

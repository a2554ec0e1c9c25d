"""The settings that all pose methods share, and the style of drawing that they ask for."""

from dataclasses import replace
from typing import cast

from ...description import Hint, Inputs, Parameter, Settings
from ..keypoints import PoseFrame
from .canvas import SKELETONS, PoseStyle, Skeleton, xinsir_style
from .poses import draw_frames

STYLE_PARAMETERS = (
    Parameter("body", "Body", True, "Draw the body."),
    Parameter("hands", "Hands", True, "Look for hands and draw their 21 points each."),
    Parameter("face", "Face", True, "Look for faces and draw their 70 points each."),
    Parameter(
        "thick_limbs",
        "Thick limbs",
        False,
        "Draw limbs thicker on larger pictures, as xinsir's SDXL OpenPose and union ControlNets were trained with.",
    ),
    Parameter(
        "skeleton",
        "Skeleton",
        SKELETONS[0],
        "How bodies are drawn. openpose: as nearly all pose ControlNets expect them. openpose_feet: with the feet as "
        "dots. body_25: as OpenPose's larger model, with feet. coco_wholebody: thin lines in mmpose's colors, with "
        "feet.",
        choices=SKELETONS,
        appended=True,
    ),
)


def pose_style(settings: Settings, height: int, width: int) -> PoseStyle:
    """How to draw on a canvas of height x width pixels. settings: values of `STYLE_PARAMETERS` by name."""
    body, hands, face = (bool(settings[name]) for name in ("body", "hands", "face"))
    style = xinsir_style(height, width, body, hands, face) if settings["thick_limbs"] else PoseStyle(body, hands, face)
    return replace(style, skeleton=cast(Skeleton, settings["skeleton"]))


def pose_hint(frames: list[PoseFrame], inputs: Inputs) -> Hint:
    """The skeletons of all people, one frame an image, drawn in the style of the settings; and the poses themselves."""
    height, width = inputs.images.shape[1:3]
    image = draw_frames(frames, pose_style(inputs.settings, height, width)).to(inputs.images.device)
    return Hint(image, poses=frames)

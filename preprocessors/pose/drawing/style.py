"""The settings that all pose methods share, and the style of drawing that they ask for."""

from ...description import Hint, Inputs, Parameter, Settings
from ..keypoints import PoseFrame
from .poses import PoseStyle, draw_frames, xinsir_style

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
)


def pose_style(settings: Settings, height: int, width: int) -> PoseStyle:
    """How to draw on a canvas of height x width pixels. settings: values of `STYLE_PARAMETERS` by name."""
    body, hands, face = (bool(settings[name]) for name in ("body", "hands", "face"))
    if settings["thick_limbs"]:
        return xinsir_style(height, width, body, hands, face)
    return PoseStyle(body, hands, face)


def pose_hint(frames: list[PoseFrame], inputs: Inputs) -> Hint:
    """The skeletons of all people, one frame an image, drawn in the style of the settings; and the poses themselves."""
    height, width = inputs.images.shape[1:3]
    image = draw_frames(frames, pose_style(inputs.settings, height, width)).to(inputs.images.device)
    return Hint(image, poses=frames)

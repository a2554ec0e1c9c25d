"""Pose methods that also hand out the poses they draw."""

from dataclasses import replace

from torch import Tensor

from ..description import Networks, Preprocessor, Settings
from .draw import draw_frames
from .keypoints import PoseFrame
from .style import pose_style


def recording(preprocessor: Preprocessor, frames: list[PoseFrame]) -> Preprocessor:
    """The same method; each run appends the poses of its pictures to `frames`. Raises ValueError if it finds none."""
    detect = preprocessor.detect
    if detect is None:
        raise ValueError(f"{preprocessor.label} does not look for poses.")

    def run(images: Tensor, settings: Settings, networks: Networks) -> Tensor:
        found = detect(images, settings, networks)
        hint = draw_frames(found, pose_style(settings, images.shape[1], images.shape[2])).to(images.device)
        frames.extend(found)
        return hint

    return replace(preprocessor, run=run)

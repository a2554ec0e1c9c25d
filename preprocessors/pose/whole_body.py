"""People by a detector and a network of points: what DWPose and ViTPose share.

Source: Jin et al., "Whole-Body Human Pose Estimation in the Wild" (arXiv 2007.11858) for the order of the 133 points;
the first 17 are those of COCO.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from ..description import Parameter, Settings
from ..networks.official import device_of
from .keypoints import COCO_BODY, LEFT_EYE, RIGHT_EYE, Keypoint, Keypoints, Pose, PoseFrame, as_openpose_body
from .landmarks import Reader, find_landmarks
from .people import find_people, whole_pictures

NO_DETECTOR = "none"
DETECTOR = Parameter(
    "detector",
    "Detector",
    "yolox_l",
    "What finds people. none: the whole picture is taken as one person, for close-ups and crops.",
    choices=("yolox_l", NO_DETECTOR),
)
MINIMUM_SCORE = Parameter(
    "minimum_score",
    "Minimum score",
    0.3,
    "How sure the networks must be of a person, and of each point.",
    minimum=0.05,
    maximum=0.95,
    step=0.05,
)
REFERENCE_CHANNELS = Parameter(
    "reference_channels",
    "Reference channels",
    False,
    "Give the person detector red and blue exchanged, as other annotators do by mistake.",
)

_FEET, _FACE, _LEFT_HAND, _RIGHT_HAND = slice(17, 23), slice(23, 91), slice(91, 112), slice(112, 133)


@dataclass(frozen=True)
class Finder:
    """The networks of a method, each loaded when it is first needed. wanted: the detector's classes to look for."""

    detector: Callable[[], nn.Module]
    reader: Callable[[], Reader]
    wanted: slice


def find_points(images: Tensor, settings: Settings, finder: Finder) -> list[list[np.ndarray]]:
    """The points of everybody in each picture of a batch (B, H, W, 3) in 0..1.

    settings: values of `DETECTOR`, `MINIMUM_SCORE` and `REFERENCE_CHANNELS` by name. Returns (points, 3) for each
    person or animal, as x and y in pixels, and a score.
    """
    boxes = _boxes(images, settings, finder)
    owners = np.repeat(np.arange(len(boxes)), [len(found) for found in boxes])
    everybody: list[list[np.ndarray]] = [[] for _ in boxes]
    if len(owners):
        found = find_landmarks(images, owners, np.concatenate(boxes), finder.reader())
        for owner, points in zip(owners, found, strict=True):
            everybody[owner].append(points)
    return everybody


def _boxes(images: Tensor, settings: Settings, finder: Finder) -> list[np.ndarray]:
    """The boxes in which to look for a body, (N, 4) for each picture."""
    if settings["detector"] == NO_DETECTOR:
        return whole_pictures(images)
    network, minimum = finder.detector(), float(settings["minimum_score"])
    pictures = images.float().to(device_of(network))
    return find_people(pictures, network, minimum, bool(settings["reference_channels"]), finder.wanted)


def detect_whole_bodies(images: Tensor, settings: Settings, finder: Finder) -> list[PoseFrame]:
    """The poses of each picture of a batch (B, H, W, 3) in 0..1, by a network of 17 or of 133 points."""
    size, minimum = (images.shape[1], images.shape[2]), float(settings["minimum_score"])
    return [
        PoseFrame(*size, tuple(_pose(certain_points(points, size, minimum), settings) for points in people))
        for people in find_points(images, settings, finder)
    ]


def certain_points(points: np.ndarray, size: tuple[int, int], minimum: float) -> Keypoints:
    """Points (N, 3) as x and y in pixels, and a score, as fractions of a picture of that height and width.

    None for those with less than `minimum`, or with no score at all.
    """
    height, width = size
    return tuple(
        Keypoint(float(x / width), float(y / height), float(min(score, 1.0)))
        if score >= minimum and score > 0
        else None
        for x, y, score in points
    )


def _pose(points: Keypoints, settings: Settings) -> Pose:
    """A pose of the 133 points of COCO-WholeBody, or of the 17 of COCO."""
    body = as_openpose_body(points, COCO_BODY)
    face = (*points[_FACE], body[RIGHT_EYE], body[LEFT_EYE])
    hands = bool(settings["hands"])
    return Pose(
        body=body,
        left_hand=_if_any(points[_LEFT_HAND]) if hands else (),
        right_hand=_if_any(points[_RIGHT_HAND]) if hands else (),
        face=face if settings["face"] and any(points[_FACE]) else (),
        feet=_if_any(points[_FEET]),
    )


def _if_any(points: Sequence[Keypoint | None]) -> Keypoints:
    return tuple(points) if any(points) else ()

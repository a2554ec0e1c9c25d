"""DWPose: whole bodies with hands and faces. YOLOX finds people, RTMPose finds 133 points of each.

Sources: Yang et al., "Effective Whole-body Pose Estimation with Two-stages Distillation" (arXiv 2307.15880); Ge et
al., "YOLOX" (arXiv 2107.08430); Li et al., "SimCC" (arXiv 2107.03332); constants of IDEA-Research/DWPose.
"""

import numpy as np
from torch import Tensor

from ..description import Hint, Inputs, Networks, Parameter, Preprocessor, Settings
from ..networks.official import device_of
from ..pose.drawing.style import STYLE_PARAMETERS, pose_hint
from ..pose.keypoints import COCO_BODY, LEFT_EYE, RIGHT_EYE, Keypoint, Keypoints, Pose, PoseFrame, as_openpose_body
from ..pose.landmarks import find_landmarks
from ..pose.people import find_people

_FEET, _FACE, _LEFT_HAND, _RIGHT_HAND = slice(17, 23), slice(23, 91), slice(91, 112), slice(112, 133)
_CROP = (384, 288)
"""Height and width of what the pose network sees."""
_NO_DETECTOR = "none"
_BACKENDS = ("torch", "onnx")


def detect_dwpose(images: Tensor, settings: Settings, networks: Networks) -> list[PoseFrame]:
    """The poses of each picture of a batch (B, H, W, 3) in 0..1."""
    height, width = images.shape[1:3]
    minimum = float(settings["minimum_score"])
    boxes = _boxes(images, settings, networks)
    owners = np.repeat(np.arange(len(boxes)), [len(found) for found in boxes])
    poses: list[list[Pose]] = [[] for _ in boxes]
    if len(owners):
        network = networks(_row("dwpose_pose", settings))
        landmarks = find_landmarks(images.float().to(device_of(network)), owners, np.concatenate(boxes), network, _CROP)
        for owner, points in zip(owners, landmarks, strict=True):
            poses[owner].append(_pose(_certain(points, height, width, minimum), settings))
    return [PoseFrame(height, width, tuple(people)) for people in poses]


def _boxes(images: Tensor, settings: Settings, networks: Networks) -> list[np.ndarray]:
    """Where to look for a body in each picture: (N, 4) each."""
    if settings["detector"] == _NO_DETECTOR:
        height, width = images.shape[1:3]
        return [np.array([[0.0, 0.0, width, height]])] * len(images)
    network, minimum = networks(_row("dwpose_det", settings)), float(settings["minimum_score"])
    return find_people(images.float().to(device_of(network)), network, minimum, bool(settings["reference_channels"]))


def _row(name: str, settings: Settings) -> str:
    """The row of the weights for the chosen backend."""
    return name if settings["backend"] == _BACKENDS[0] else f"{name}_onnx"


def _certain(points: np.ndarray, height: int, width: int, minimum: float) -> Keypoints:
    """Points (N, 3) as x and y in pixels, and a score; None for those with less than `minimum`."""
    return tuple(
        Keypoint(float(x / width), float(y / height), float(min(score, 1.0))) if score >= minimum else None
        for x, y, score in points
    )


def _pose(points: Keypoints, settings: Settings) -> Pose:
    """A pose of the 133 points of COCO-WholeBody."""
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


def _if_any(points: Keypoints) -> Keypoints:
    return points if any(points) else ()


def _run(inputs: Inputs) -> Hint:
    return pose_hint(detect_dwpose(inputs.images, inputs.settings, inputs.networks), inputs)


DWPOSE = Preprocessor(
    id="dwpose",
    label="DWPose",
    hint="pose",
    description="Colored skeletons of all people on black, with hands and faces, more reliable than OpenPose's.",
    run=_run,
    gives_poses=True,
    parameters=(
        *STYLE_PARAMETERS,
        Parameter(
            "minimum_score",
            "Minimum score",
            0.3,
            "How sure the networks must be of a person, and of each point.",
            minimum=0.05,
            maximum=0.95,
            step=0.05,
        ),
        Parameter(
            "reference_channels",
            "Reference channels",
            False,
            "Give the person detector red and blue exchanged, as other annotators do by mistake.",
        ),
        Parameter(
            "detector",
            "Detector",
            "yolox_l",
            "What finds people. none: the whole picture is taken as one person, for close-ups and crops.",
            choices=("yolox_l", _NO_DETECTOR),
        ),
        Parameter(
            "backend",
            "Backend",
            _BACKENDS[0],
            "torch: on the GPU, several pictures at once. onnx: the .onnx files as onnxruntime runs them, or OpenCV "
            "where that is not installed; picture by picture, on the CPU unless onnxruntime finds a GPU.",
            choices=_BACKENDS,
        ),
    ),
    weights=("dwpose_det", "dwpose_pose"),
    aliases=("DWPreprocessor", "dw_openpose_full", "DW Pose", "skeleton", "stick figure"),
)

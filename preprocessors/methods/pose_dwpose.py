"""DWPose: whole bodies with hands and faces. YOLOX finds people, RTMPose finds 133 points of each.

Sources: Yang et al., "Effective Whole-body Pose Estimation with Two-stages Distillation" (arXiv 2307.15880); Ge et
al., "YOLOX" (arXiv 2107.08430); Li et al., "SimCC" (arXiv 2107.03332); constants of IDEA-Research/DWPose.
"""

import numpy as np
import torch
from torch import Tensor, nn

from ..description import Hint, Inputs, Networks, Parameter, Preprocessor, Settings
from ..pose.keypoints import COCO_BODY, LEFT_EYE, RIGHT_EYE, Keypoint, Keypoints, Pose, PoseFrame, as_openpose_body
from ..pose.style import STYLE_PARAMETERS, pose_hint

_FACE, _LEFT_HAND, _RIGHT_HAND = slice(23, 91), slice(91, 112), slice(112, 133)

_DETECTOR_SIZE = 640
_DETECTOR_GREY = 114.0
_STRIDES = (8, 16, 32)
_OVERLAP = 0.45
_PERSON = 5
"""Column of the detector's answer with the score of the class person; objectness is before it."""

_POSE_WIDTH, _POSE_HEIGHT = 288, 384
_ROOM = 1.25
_SPLIT = 2.0
"""Bins of the pose network's answer per pixel."""

_MEAN, _DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def detect_dwpose(images: Tensor, settings: Settings, networks: Networks) -> list[PoseFrame]:
    """The poses of each picture of a batch (B, H, W, 3) in 0..1."""
    height, width = images.shape[1:3]
    minimum = float(settings["minimum_score"])
    frames = []
    for picture in images.float().cpu().contiguous().numpy():
        boxes = find_people(picture, networks("dwpose_det"), minimum, bool(settings["reference_channels"]))
        poses = [_pose(picture, box, networks("dwpose_pose"), minimum, settings) for box in boxes]
        frames.append(PoseFrame(height, width, tuple(poses)))
    return frames


def find_people(picture: np.ndarray, network: nn.Module, minimum: float, reference_channels: bool) -> np.ndarray:
    """Boxes (N, 4) of people, as left, top, right, bottom in pixels of the picture (H, W, 3) in 0..1.

    The detector was trained on blue, green, red; reference_channels: give it red, green, blue as the annotators do.
    """
    import cv2

    height, width = picture.shape[:2]
    ratio = _DETECTOR_SIZE / max(height, width)
    size = max(1, int(width * ratio)), max(1, int(height * ratio))
    entry = np.full((_DETECTOR_SIZE, _DETECTOR_SIZE, 3), _DETECTOR_GREY, np.float32)
    entry[: size[1], : size[0]] = 255 * cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    entry = entry if reference_channels else entry[..., ::-1]
    (answer,) = network(torch.from_numpy(np.ascontiguousarray(entry.transpose(2, 0, 1)))[None])
    boxes, scores = decode_people(answer[0].numpy())
    boxes, scores = boxes[scores > minimum] / ratio, scores[scores > minimum]
    return boxes[_strongest(boxes, scores)]


def decode_people(answer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """YOLOX's rows (8400, 85) -> boxes (8400, 4) in pixels of its input, and the scores of the class person."""
    grids, strides = [], []
    for stride in _STRIDES:
        cells = _DETECTOR_SIZE // stride
        y, x = np.mgrid[:cells, :cells]
        grids.append(np.stack([x, y], axis=-1).reshape(-1, 2))
        strides.append(np.full((cells * cells, 1), stride))
    grid, stride = np.concatenate(grids), np.concatenate(strides)
    centers, sizes = (answer[:, :2] + grid) * stride, np.exp(answer[:, 2:4]) * stride
    return np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=1), answer[:, 4] * answer[:, _PERSON]


def _strongest(boxes: np.ndarray, scores: np.ndarray) -> list[int]:
    """Boxes that no stronger box overlaps by more than 0.45, strongest first."""
    left = list(scores.argsort(kind="stable")[::-1])
    kept = []
    while left:
        best, *rest = left
        kept.append(int(best))
        low, high = np.maximum(boxes[best, :2], boxes[rest, :2]), np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = (high - low).clip(0).prod(-1)
        areas = (boxes[[best, *rest], 2:] - boxes[[best, *rest], :2]).prod(-1)
        union = areas[0] + areas[1:] - shared
        left = [index for index, overlap in zip(rest, shared / union, strict=True) if overlap <= _OVERLAP]
    return kept


def _pose(picture: np.ndarray, box: np.ndarray, network: nn.Module, minimum: float, settings: Settings) -> Pose:
    points = _landmarks(picture, box, network, minimum)
    body = as_openpose_body(points, COCO_BODY)
    face = (*points[_FACE], body[RIGHT_EYE], body[LEFT_EYE])
    hands = bool(settings["hands"])
    return Pose(
        body=body,
        left_hand=_if_any(points[_LEFT_HAND]) if hands else (),
        right_hand=_if_any(points[_RIGHT_HAND]) if hands else (),
        face=face if settings["face"] and any(points[_FACE]) else (),
    )


def _if_any(points: Keypoints) -> Keypoints:
    return points if any(points) else ()


def _landmarks(picture: np.ndarray, box: np.ndarray, network: nn.Module, minimum: float) -> Keypoints:
    """The 133 points of COCO-WholeBody in a box of the picture."""
    import cv2

    center, sides = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * _ROOM
    scale = max(sides[0] / _POSE_WIDTH, sides[1] / _POSE_HEIGHT)
    corner = center - scale * np.array([_POSE_WIDTH, _POSE_HEIGHT]) / 2
    inverse = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = 255 * cv2.warpAffine(picture, inverse, (_POSE_WIDTH, _POSE_HEIGHT), flags=flags)
    entry = ((crop - np.array(_MEAN)) / np.array(_DEVIATION)).astype(np.float32).transpose(2, 0, 1)
    across, down = network(torch.from_numpy(np.ascontiguousarray(entry))[None])
    best_x, best_y = across[0].max(-1), down[0].max(-1)
    scores = torch.minimum(best_x.values, best_y.values).numpy()
    places = torch.stack([best_x.indices, best_y.indices], dim=-1).numpy() / _SPLIT
    height, width = picture.shape[:2]
    return tuple(
        Keypoint(float(x / width), float(y / height), float(min(score, 1.0))) if score >= minimum else None
        for (x, y), score in zip(corner + scale * places, scores, strict=True)
    )


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
    ),
    weights=("dwpose_det", "dwpose_pose"),
    aliases=("DWPreprocessor", "dw_openpose_full", "DW Pose", "skeleton", "stick figure"),
)

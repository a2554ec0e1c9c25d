"""OpenPose: skeletons of all people in a picture, with hands and faces (ControlNet v1.0 and v1.1)."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from ..description import Hint, Inputs, Networks, Parameter, Preprocessor, Settings
from ..networks.official import run_like
from ..networks.openpose import STRIDE
from ..pose.assembly import assemble_people
from ..pose.drawing.style import STYLE_PARAMETERS, pose_hint
from ..pose.keypoints import Keypoints, Pose, PoseFrame
from ..pose.parts import Square, face_keypoints, face_square, hand_keypoints, hand_square

_GREY = 128 / 255
_WIDEST = 6
"""Limit of the width the body network sees, in heights: a strip of paper must not cost the memory of a poster."""

_HAND_SIZES = (184, 368, 552, 736)
_HAND_MAP = 128
_HAND_BLUR = 0.8
_FACE_SIZE = 384

Locate = Callable[[Keypoints, int, int], Square | None]
Read = Callable[[Tensor, Square, int, int], Keypoints]


def detect_openpose(images: Tensor, settings: Settings, networks: Networks) -> list[PoseFrame]:
    """The poses of each picture of a batch (B, H, W, 3) in 0..1."""
    height, width = images.shape[1:3]
    bodies = _bodies(images, int(settings["detection_height"]), networks("openpose_body"))
    owners = [(index, body) for index, people in enumerate(bodies) for body in people]
    lefts, rights, faces = ([()] * len(owners) for _ in range(3))
    if settings["hands"] and owners:
        lefts, rights = (
            _parts(images, owners, _hand_locator(left), networks("openpose_hand"), hand_maps, hand_keypoints)
            for left in (True, False)
        )
    if settings["face"] and owners:
        faces = _parts(images, owners, face_square, networks("openpose_face"), face_maps, face_keypoints)
    poses: list[list[Pose]] = [[] for _ in bodies]
    for (index, body), left, right, face in zip(owners, lefts, rights, faces, strict=True):
        poses[index].append(Pose(body, left, right, face))
    return [PoseFrame(height, width, tuple(people)) for people in poses]


def _run(inputs: Inputs) -> Hint:
    return pose_hint(detect_openpose(inputs.images, inputs.settings, inputs.networks), inputs)


def _bodies(images: Tensor, detection_height: int, network: nn.Module) -> list[list[Keypoints]]:
    scale = detection_height * min(1 / images.shape[1], _WIDEST / max(images.shape[1:3]))
    height, width = max(1, round(images.shape[1] * scale)), max(1, round(images.shape[2] * scale))
    small = torch.stack([_resize(image, height, width) for image in images.cpu().numpy()])
    padded = nn.functional.pad(small, (0, -width % STRIDE, 0, -height % STRIDE), value=_GREY)
    fields, maps = (output.float().cpu() for output in network(run_like(network, padded)))
    cells = height / STRIDE, width / STRIDE
    return [assemble_people(*pair, *cells) for pair in zip(fields, maps, strict=True)]


def _resize(image: np.ndarray, height: int, width: int) -> Tensor:
    """(H, W, 3) -> (3, height, width): area when it gets smaller, Lanczos when larger, as the annotator does."""
    import cv2

    smaller = height + width < image.shape[0] + image.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LANCZOS4
    resized = cv2.resize(image, (width, height), interpolation=method)
    return torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1))).clamp_(0, 1)


def _hand_locator(left: bool) -> Locate:
    return lambda body, height, width: hand_square(body, left, height, width)


def _parts(
    images: Tensor,
    owners: list[tuple[int, Keypoints]],
    locate: Locate,
    network: nn.Module,
    infer: Callable[[list[np.ndarray], nn.Module], Tensor],
    read: Read,
) -> list[Keypoints]:
    """The hand or face of every body: all crops of the batch pass the network together."""
    height, width = images.shape[1:3]
    squares = [locate(body, height, width) for _, body in owners]
    crops = [
        square.crop(images[index].cpu().numpy())
        for (index, _), square in zip(owners, squares, strict=True)
        if square is not None
    ]
    if not crops:
        return [()] * len(owners)
    maps = iter(infer(crops, network))
    return [() if square is None else read(next(maps), square, height, width) for square in squares]


def hand_maps(crops: list[np.ndarray], network: nn.Module) -> Tensor:
    """The mean of the maps at four scales: (N, 22, 128, 128)."""
    import cv2

    smooth = [cv2.GaussianBlur(crop, (0, 0), _HAND_BLUR) for crop in crops]
    total = torch.zeros(len(crops), 1, 1, 1)
    for size in _HAND_SIZES:
        (maps,) = network(run_like(network, torch.stack([_resize(crop, size, size) for crop in smooth])))
        enlarged = nn.functional.interpolate(maps.float(), size=_HAND_MAP, mode="bicubic", align_corners=False)
        total = total + enlarged.cpu() / len(_HAND_SIZES)
    return total


def face_maps(crops: list[np.ndarray], network: nn.Module) -> Tensor:
    """(N, 71, 48, 48)."""
    faces = torch.stack([_resize(crop, _FACE_SIZE, _FACE_SIZE) for crop in crops])
    (maps,) = network(run_like(network, faces))
    return maps.float().cpu()


OPENPOSE = Preprocessor(
    id="openpose",
    label="OpenPose",
    hint="pose",
    description="Colored skeletons of all people on black, with hands and faces: each limb has its own color.",
    run=_run,
    gives_poses=True,
    parameters=(
        *STYLE_PARAMETERS,
        Parameter(
            "detection_height",
            "Detection height",
            368,
            "The picture is scaled to this height to look for people. More finds smaller people and costs more. "
            "184 is what ControlNet's own annotator uses.",
            minimum=64,
            maximum=1024,
            step=8,
            unit="px",
        ),
    ),
    weights=("openpose_body", "openpose_hand", "openpose_face"),
    aliases=("OpenposePreprocessor", "openpose_full", "openpose_hand", "openpose_face", "skeleton", "stick figure"),
    license="CMU OpenPose: non-commercial use only",
)

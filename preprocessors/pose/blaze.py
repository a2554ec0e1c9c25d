"""MediaPipe's two steps: a detector finds turned squares in a picture, a landmark network looks into each.

Source: the graphs of mediapipe 0.10 (pose_detection, palm_detection, face_detection_short_range and their
landmark modules): anchors, scales and the geometry of the squares.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..networks.mediapipe import TfliteNetwork

_OVERLAP = 0.3
_LOGIT_LIMIT = 100.0


@dataclass(frozen=True)
class Region:
    """A turned square of a picture: center and side in pixels, angle in radians, clockwise on the screen."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    def axes(self) -> np.ndarray:
        """(2, 2): the region's rightward and downward unit vectors as columns."""
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        return np.array([[cosine, -sine], [sine, cosine]])

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2) as fractions of the region -> pixels of the picture."""
        return np.array([self.x, self.y]) + self.side * (points - 0.5) @ self.axes().T

    def sample(self, picture: np.ndarray, size: int) -> Tensor:
        """The region of (H, W, 3) as (3, size, size); black beyond the picture."""
        import cv2

        scale = self.side / size
        # Shrunk by areas first, so that the sampling of a large picture skips no pixels.
        small = _shrunk(picture, max(1, int(scale)))
        factors = np.array([small.shape[1] / picture.shape[1], small.shape[0] / picture.shape[0]])
        linear = scale * self.axes()
        offset = np.array([self.x, self.y]) + linear @ np.full(2, 0.5 - size / 2)
        inverse = np.concatenate([factors[:, None] * linear, (factors * offset - 0.5)[:, None]], axis=1)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return torch.from_numpy(cv2.warpAffine(small, inverse, (size, size), flags=flags)).movedim(-1, 0)


def _shrunk(picture: np.ndarray, divisor: int) -> np.ndarray:
    import cv2

    if divisor == 1:
        return picture
    height, width = (max(1, side // divisor) for side in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def whole(picture: np.ndarray) -> Region:
    """The smallest upright square with all of the picture in it."""
    height, width = picture.shape[:2]
    return Region(width / 2, height / 2, max(height, width))


def turn_of(start: np.ndarray, end: np.ndarray, upright: float) -> float:
    """How far, in radians and clockwise, the direction from start to end is from `upright` degrees (90 = upwards)."""
    return math.radians(upright) - math.atan2(start[1] - end[1], end[0] - start[0])


@dataclass(frozen=True)
class Detector:
    """How to read one of the detectors.

    strides: of its anchors, in pixels of its input; those that repeat share a map. signed: its input is -1..1, else
    0..1. start, end: the points that tell the turn; `upright` is the direction from start to end, in degrees, of what
    is not turned. scale: of the square around what was found. shift: of that square, downwards, before it is scaled.
    around_points: the square's center is the point `start` and its half side the distance to `end`.
    """

    strides: tuple[int, ...]
    signed: bool
    start: int
    end: int
    upright: float
    scale: float
    shift: float = 0.0
    around_points: bool = False


PERSON = Detector((8, 16, 32, 32, 32), True, 0, 1, 90, 1.25, around_points=True)
PALM = Detector((8, 16, 16, 16), False, 0, 2, 90, 2.6, shift=-0.5)
FACE = Detector((8, 16, 16, 16), True, 0, 1, 0, 1.5)


def anchors(strides: tuple[int, ...], size: int) -> Tensor:
    """Centers (N, 2) of the anchors as fractions: two at each cell for every layer of the stride."""
    centers = []
    for stride in dict.fromkeys(strides):
        cells = math.ceil(size / stride)
        y, x = torch.meshgrid(torch.arange(cells), torch.arange(cells), indexing="ij")
        cell = (torch.stack([x, y], dim=-1).flatten(0, 1) + 0.5) / cells
        centers.append(cell.repeat_interleave(2 * strides.count(stride), dim=0))
    return torch.cat(centers)


def detect(
    picture: np.ndarray, within: Region, network: TfliteNetwork, detector: Detector, minimum_score: float
) -> list[Region]:
    """The squares for the landmark network, best first.

    picture: (H, W, 3) float32 in 0..1; within: where to look. network: the detector's.
    """
    size = network.size
    entry = within.sample(picture, size)
    entry = entry * 2 - 1 if detector.signed else entry
    boxes, logits = (output[0].float() for output in network(entry[None]))
    scores = logits[:, 0].clamp(-_LOGIT_LIMIT, _LOGIT_LIMIT).sigmoid()
    kept = scores >= minimum_score
    centers = anchors(detector.strides, size)[kept]
    points = boxes[kept].unflatten(1, (-1, 2)) / size
    # The second pair is the box's width and height; all others are places, seen from the anchor.
    places = points + centers[:, None]
    places[:, 1] = points[:, 1]
    found = _blend(places, scores[kept])
    return [_region(within, places.numpy(), detector) for places in found]


def _blend(places: Tensor, scores: Tensor) -> list[Tensor]:
    """Detections (N, P, 2) that overlap become one, their mean by score; best first."""
    found = []
    left = scores.argsort(descending=True)
    while len(left):
        overlapping = _overlaps(places[left[0]], places[left]) > _OVERLAP
        overlapping[0] = True
        members = left[overlapping]
        weights = scores[members, None, None]
        found.append((places[members] * weights).sum(0) / weights.sum())
        left = left[~overlapping]
    return found


def _overlaps(one: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of boxes: (P, 2), (N, P, 2) -> (N,)."""
    low = torch.maximum(one[0] - one[1] / 2, others[:, 0] - others[:, 1] / 2)
    high = torch.minimum(one[0] + one[1] / 2, others[:, 0] + others[:, 1] / 2)
    shared = (high - low).clamp_min(0).prod(-1)
    return shared / (one[1].prod() + others[:, 1].prod(-1) - shared).clamp_min(1e-9)


def _region(within: Region, places: np.ndarray, detector: Detector) -> Region:
    """The square for the landmark network, in pixels of the picture."""
    start, end = within.to_picture(places[[2 + detector.start, 2 + detector.end]])
    turn = turn_of(start, end, detector.upright)
    if detector.around_points:
        return Region(float(start[0]), float(start[1]), 2 * math.dist(start, end) * detector.scale, turn)
    width, height = within.side * places[1]
    x, y = within.to_picture(places[:1])[0]
    down = Region(x, y, 1, turn).axes()[:, 1] * detector.shift * height
    return Region(float(x + down[0]), float(y + down[1]), float(max(width, height)) * detector.scale, turn)

"""From OpenPose's body maps to people: peaks, limbs between peaks, limbs joined to skeletons.

Source: Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields" (arXiv 1611.08050), with
the constants of ControlNet v1.1's annotator. Peaks are found on the maps themselves and refined below a cell, where
the annotator enlarges all 57 maps to the picture's size first.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .drawing.openpose import LIMBS
from .keypoints import BODY_POINTS, Keypoint, Keypoints

_PAIRS = (*LIMBS, (2, 16), (5, 17))
"""The limbs drawn, and shoulder to ear, which only helps to join."""

_FIELDS = (12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26)
"""First of the two part affinity fields (x, y) of each pair."""

_DRAWN = len(LIMBS)
_PEAK_THRESHOLD = 0.1
_FIELD_THRESHOLD = 0.05
_SAMPLES = 10
_MINIMUM_AGREEMENT = 0.8
_MINIMUM_PARTS = 4
_MINIMUM_MEAN_SCORE = 0.4


@dataclass(frozen=True)
class _Peaks:
    """Peaks of one part: positions (N, 2) as x, y in cells (the center of the first cell is 0), scores (N,)."""

    positions: Tensor
    scores: Tensor


@dataclass
class _Person:
    """A skeleton in the making: the peak of each part (-1 = none), and the score collected so far."""

    parts: list[int] = field(default_factory=lambda: [-1] * BODY_POINTS)
    score: float = 0.0
    count: int = 0


def assemble_people(fields: Tensor, maps: Tensor, height: float, width: float) -> list[Keypoints]:
    """The bodies of one picture.

    fields: (38, h, w) part affinity fields; maps: (19, h, w) confidence maps; height, width: size of the picture
    in cells, at most h and w (what lies beyond is padding). Returns 18 keypoints a person, fractions of the picture.
    """
    fields, maps = fields.float().cpu(), maps.float().cpu()
    peaks = _find_peaks(maps[:BODY_POINTS], height, width)
    limbs = [
        _connect(fields[first : first + 2], peaks[start], peaks[end], height)
        for first, (start, end) in zip(_FIELDS, _PAIRS, strict=True)
    ]
    people = _join(limbs, peaks)
    return [_keypoints(person, peaks, height, width) for person in people]


def _find_peaks(maps: Tensor, height: float, width: float) -> list[_Peaks]:
    """Local maxima of every map (N, h, w), refined below a cell."""
    smooth = nn.functional.max_pool2d(maps[None], 3, stride=1, padding=1)[0]
    found = []
    for heat, mask in zip(maps, (maps >= smooth) & (maps > _PEAK_THRESHOLD), strict=True):
        rows, columns = torch.nonzero(mask, as_tuple=True)
        positions = refine(heat, rows, columns)
        inside = (positions[:, 0] < width - 0.5) & (positions[:, 1] < height - 0.5)
        found.append(_Peaks(positions[inside], heat[rows, columns][inside]))
    return found


def refine(heat: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Peaks between the cells of a map (h, w): (N, 2) x, y.

    The maps were trained to be Gaussians, whose logarithm is a parabola: three cells along an axis give its vertex
    exactly. The shift is held within half a cell, and is 0 across the edge of the map.
    """
    height, width = heat.shape
    center = heat[rows, columns]
    log = (heat.clamp_min(0) + 1e-6 + 1e-3 * center.max() if len(rows) else heat.clamp_min(1e-6)).log()

    def shift(before: Tensor, after: Tensor, index: Tensor, size: int) -> Tensor:
        curvature = 2 * log[rows, columns] - before - after
        vertex = (0.5 * (after - before) / curvature.clamp_min(1e-6)).clamp(-0.5, 0.5)
        return vertex * ((index > 0) & (index < size - 1))

    left, right = log[rows, (columns - 1).clamp_min(0)], log[rows, (columns + 1).clamp_max(width - 1)]
    above, below = log[(rows - 1).clamp_min(0), columns], log[(rows + 1).clamp_max(height - 1), columns]
    x = columns + shift(left, right, columns, width)
    return torch.stack([x, rows + shift(above, below, rows, height)], dim=-1)


def _connect(field_pair: Tensor, starts: _Peaks, ends: _Peaks, height: float) -> list[tuple[int, int, float]]:
    """The limbs of one kind: (index of the start, of the end, score), each peak in one limb at most.

    A limb must follow the field at more than 8 of 10 points between its ends; its score is the mean agreement, less
    a penalty where it is longer than half the picture is high.
    """
    if not len(starts.scores) or not len(ends.scores):
        return []
    vectors = ends.positions[None] - starts.positions[:, None]
    lengths = vectors.norm(dim=-1).clamp_min(1e-3)
    steps = torch.linspace(0, 1, _SAMPLES)[:, None]
    points = starts.positions[:, None, None] + vectors[:, :, None] * steps
    agreement = (_sample(field_pair, points) * (vectors / lengths[..., None])[:, :, None]).sum(-1)
    scores = agreement.mean(-1) + (0.5 * height / lengths - 1).clamp_max(0)
    fits = ((agreement > _FIELD_THRESHOLD).float().mean(-1) > _MINIMUM_AGREEMENT) & (scores > 0)
    order = scores.masked_fill(~fits, -1).flatten().argsort(descending=True, stable=True)[: int(fits.sum())]
    limbs, used_starts, used_ends = [], set(), set()
    for choice in order.tolist():
        start, end = divmod(choice, len(ends.scores))
        if start not in used_starts and end not in used_ends:
            used_starts.add(start)
            used_ends.add(end)
            limbs.append((start, end, float(scores[start, end])))
    return limbs


def _sample(pair: Tensor, points: Tensor) -> Tensor:
    """Fields (2, h, w) at points (..., 2) x, y in cells -> (..., 2)."""
    height, width = pair.shape[1:]
    grid = (points + 0.5) * torch.tensor([2 / width, 2 / height]) - 1
    sampled = nn.functional.grid_sample(
        pair[None], grid.reshape(1, -1, 1, 2), mode="bicubic", padding_mode="border", align_corners=False
    )
    return sampled[0, :, :, 0].T.reshape(points.shape)


def _join(limbs: list[list[tuple[int, int, float]]], peaks: list[_Peaks]) -> list[_Person]:
    """Limbs that share a peak belong to the same person."""
    people: list[_Person] = []
    for kind, (start, end) in enumerate(_PAIRS):
        for first, second, score in limbs[kind]:
            owners = [person for person in people if first == person.parts[start] or second == person.parts[end]]
            if len(owners) >= 2 and _disjoint(owners[0], owners[1]):
                _merge(owners[0], owners[1], score)
                people = [person for person in people if person is not owners[1]]
            elif owners:
                if owners[0].parts[end] != second:
                    owners[0].parts[end] = second
                    owners[0].count += 1
                    owners[0].score += float(peaks[end].scores[second]) + score
            elif kind < _DRAWN:
                person = _Person(score=score + float(peaks[start].scores[first] + peaks[end].scores[second]), count=2)
                person.parts[start], person.parts[end] = first, second
                people.append(person)
    return [p for p in people if p.count >= _MINIMUM_PARTS and p.score / p.count >= _MINIMUM_MEAN_SCORE]


def _disjoint(one: _Person, other: _Person) -> bool:
    return not any(a >= 0 and b >= 0 for a, b in zip(one.parts, other.parts, strict=True))


def _merge(one: _Person, other: _Person, score: float) -> None:
    one.parts = [a if a >= 0 else b for a, b in zip(one.parts, other.parts, strict=True)]
    one.count += other.count
    one.score += other.score + score


def _keypoints(person: _Person, peaks: list[_Peaks], height: float, width: float) -> Keypoints:
    points: list[Keypoint | None] = []
    for part, index in enumerate(person.parts):
        if index < 0:
            points.append(None)
        else:
            x, y = peaks[part].positions[index].tolist()
            points.append(Keypoint((x + 0.5) / width, (y + 0.5) / height, float(peaks[part].scores[index])))
    return tuple(points)

"""Poses that do not tremble: the points of each person over the frames of a film.

Source: Casiez, Roussel, Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive
Systems" (CHI 2012). It follows a live input and so lags behind a motion. Here the whole film is known: it runs
forwards and backwards, and the mean of both does not lag.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from .keypoints import Keypoint, Keypoints, Pose, PoseFrame
from .select import PART_NAMES
from .tracking import Track, track_people

_SPEED_CUTOFF = 1.0
"""Hertz, of the filter on the speed, as in the paper."""


@dataclass(frozen=True)
class Smoothing:
    """cutoff: hertz, of what moves slowly; lower is smoother. beta: how much the cutoff grows with speed, hertz per
    canvas length a second; higher follows fast motion more closely. frame_rate: frames a second. fill: gaps of at most
    so many frames are filled, of points and of people.

    Raises ValueError for a cutoff or frame rate that is not positive, and a negative beta.
    """

    cutoff: float = 1.0
    beta: float = 5.0
    frame_rate: float = 24.0
    fill: int = 3

    def __post_init__(self) -> None:
        for name, value in (("cutoff", self.cutoff), ("frame_rate", self.frame_rate)):
            if not value > 0:
                raise ValueError(f"{name} of Smooth Poses is {value:g}; it must be above 0.")
        if not self.beta >= 0:
            raise ValueError(f"beta of Smooth Poses is {self.beta:g}; it must be 0 or more.")


def smooth_poses(frames: Sequence[PoseFrame], smoothing: Smoothing) -> list[PoseFrame]:
    """The frames with each person's points smoothed over time and short gaps filled.

    People are told apart by where they are (`tracking.py`), and come in the order in which they appear in the film.
    Coordinates are filtered in lengths of the canvas's longer side, so that both directions move alike.
    """
    smoothed = [_smooth(track, frames, smoothing) for track in track_people(frames, smoothing.fill)]
    return [
        replace(frame, poses=tuple(poses[number] for poses in smoothed if number in poses))
        for number, frame in enumerate(frames)
    ]


def _smooth(track: Track, frames: Sequence[PoseFrame], smoothing: Smoothing) -> dict[int, Pose]:
    """The pose in every frame from the first to the last in which the person was seen."""
    first, last = min(track.poses), track.last
    scale = np.array([(frame.width, frame.height) for frame in frames[first : last + 1]], float)
    scale /= scale.max(axis=1, keepdims=True)
    parts = {part: _smooth_part(track, part, first, scale, smoothing) for part in PART_NAMES}
    return {
        number: Pose(**{part: points[number - first] for part, points in parts.items()})
        for number in range(first, last + 1)
        if number in track.poses or any(points[number - first] for points in parts.values())
    }


def _smooth_part(track: Track, part: str, first: int, scale: np.ndarray, smoothing: Smoothing) -> list[Keypoints]:
    """One part of a person in every frame; empty where it was not found."""
    given: list[Keypoints] = [
        getattr(track.poses[number], part) if number in track.poses else () for number in range(first, track.last + 1)
    ]
    count = max(map(len, given))
    if not count:
        return given
    values = np.full((len(given), count, 3), np.nan)
    for row, points in enumerate(given):
        for column, point in enumerate(points):
            if point is not None:
                values[row, column] = point
    values[..., :2] *= scale[:, None]
    for column in range(count):
        values[:, column] = _smooth_point(values[:, column], smoothing)
    values[..., :2] /= scale[:, None]
    rows = [tuple(None if np.isnan(point[0]) else Keypoint(*map(float, point)) for point in row) for row in values]
    return [row if any(point is not None for point in row) else () for row in rows]


def _smooth_point(values: np.ndarray, smoothing: Smoothing) -> np.ndarray:
    """x, y and score of one point over time, (frames, 3), NaN where it was not found: gaps filled, then smoothed."""
    values = values.copy()
    found = np.flatnonzero(~np.isnan(values[:, 0]))
    for before, after in pairwise(found):
        if 1 < after - before <= smoothing.fill + 1:
            share = ((np.arange(before + 1, after) - before) / (after - before))[:, None]
            values[before + 1 : after] = (1 - share) * values[before] + share * values[after]
            values[before + 1 : after, 2] = min(values[before, 2], values[after, 2])
    known = ~np.isnan(values[:, 0])
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(int)))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        values[begin:end, :2] = without_trembling(values[begin:end, :2], smoothing)
    return values


def without_trembling(values: np.ndarray, smoothing: Smoothing) -> np.ndarray:
    """A curve (frames, 2) through the filter, forwards and backwards."""
    return (_one_euro(values, smoothing) + _one_euro(values[::-1], smoothing)[::-1]) / 2


def _one_euro(values: np.ndarray, smoothing: Smoothing) -> np.ndarray:
    """The filter of the paper, for both coordinates of a point with one cutoff from its speed."""
    period = 1 / smoothing.frame_rate
    smooth, speed = values[0], np.zeros(values.shape[1])
    result = [smooth]
    for before, value in pairwise(values):
        speed = speed + _share(_SPEED_CUTOFF, period) * ((value - before) / period - speed)
        cutoff = smoothing.cutoff + smoothing.beta * float(np.linalg.norm(speed))
        smooth = smooth + _share(cutoff, period) * (value - smooth)
        result.append(smooth)
    return np.stack(result)


def _share(cutoff: float, period: float) -> float:
    """How much of a new value a first-order low-pass filter takes: 1 / (1 + tau / T), tau = 1 / (2 pi cutoff)."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * period))

"""The same motion by another body: limbs get other lengths and keep their directions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from .keypoints import (
    LEFT_ANKLE,
    LEFT_WRIST,
    NECK,
    NOSE,
    RIGHT_ANKLE,
    RIGHT_WRIST,
    Keypoint,
    Keypoints,
    Pose,
    PoseFrame,
)
from .tracking import track_people

Anchor = Literal["hips", "feet", "neck"]
ANCHORS: tuple[Anchor, ...] = get_args(Anchor)

PARENTS = {
    0: 1, 2: 1, 3: 2, 4: 3, 5: 1, 6: 5, 7: 6, 8: 1, 9: 8, 10: 9, 11: 1, 12: 11, 13: 12, 14: 0, 15: 0, 16: 14, 17: 15,
}  # fmt: skip
"""For each body point the one at which its limb begins, from the neck outwards; a point comes after its parent."""

HIPS, KNEES, ANKLES = (8, 11), (9, 12), (10, 13)
_FOOT = 3
"""Points of the left foot, which come before those of the right."""
_GROUPS = {
    "head": (14, 15, 16, 17), "neck": (0,), "shoulders": (2, 5), "arms": (3, 4, 6, 7), "torso": HIPS,
    "legs": (*KNEES, *ANKLES),
}  # fmt: skip
_GROUP_OF = {point: group for group, points in _GROUPS.items() for point in points}

PROPORTIONS: dict[str, dict[str, float]] = {
    "child": {"head": 1.35, "neck": 1.1, "shoulders": 0.85, "arms": 0.8, "torso": 0.85, "legs": 0.72},
    "toddler": {"head": 1.8, "neck": 1.3, "shoulders": 0.8, "arms": 0.65, "torso": 0.8, "legs": 0.5},
    "tall": {"head": 0.95, "arms": 1.08, "torso": 1.03, "legs": 1.15},
    "heroic": {"head": 0.9, "shoulders": 1.3, "arms": 1.12, "torso": 1.1, "legs": 1.12},
    "chibi": {"head": 2.6, "neck": 1.6, "shoulders": 0.75, "arms": 0.55, "torso": 0.65, "legs": 0.4},
}
"""Factors on an adult's limbs, by groups; a group that is not named keeps its length. Chosen by eye."""


@dataclass(frozen=True)
class Body:
    """A factor on the length of each limb, by the body point at its end."""

    factors: Mapping[int, float]

    @property
    def arms(self) -> float:
        """The forearms' common factor: hands grow with it."""
        return float(np.mean([self.factors.get(4, 1.0), self.factors.get(7, 1.0)]))

    @property
    def legs(self) -> float:
        """The shins' common factor: feet grow with it."""
        return float(np.mean([self.factors.get(point, 1.0) for point in ANKLES]))

    @property
    def head(self) -> float:
        """The head's common factor: the face grows with it."""
        return float(np.mean([self.factors.get(point, 1.0) for point in _GROUPS["head"]]))


def proportions(name: str) -> Body:
    """The body of a preset of `PROPORTIONS`."""
    return Body({point: PROPORTIONS[name].get(group, 1.0) for point, group in _GROUP_OF.items()})


def retarget(frames: Sequence[PoseFrame], body: Body | Sequence[PoseFrame], anchor: Anchor = "hips") -> list[PoseFrame]:
    """The frames with every person in another body.

    body: factors, or frames of a reference person, whose proportions everybody gets at their own size. The first person
    of the reference counts. anchor: what stays where it is: the middle of the hips, the lower foot, or the neck.
    Hands follow their wrist, feet their ankle and the face the nose; an animal stays as it is. Raises ValueError for a
    reference without a body.
    """
    reference = None if isinstance(body, Body) else limb_lengths(_first_person(body))
    moved: list[dict[int, Pose]] = [{} for _ in frames]
    for place, track in enumerate(track_people(frames)):
        factors = body if isinstance(body, Body) else _towards(reference or {}, _own_lengths(track.poses, frames))
        for number, pose in track.poses.items():
            moved[number][place] = _rebuilt(pose, frames[number], factors, anchor)
    return [
        replace(frame, poses=tuple(poses[place] for place in sorted(poses)))
        for frame, poses in zip(frames, moved, strict=True)
    ]


def limb_lengths(poses: Sequence[tuple[Pose, PoseFrame]]) -> dict[int, float]:
    """The length of each limb in pixels, by the point at its end: the median of the longer half of its frames.

    A limb that points towards the camera looks shorter than it is, never longer.
    """
    seen: dict[int, list[float]] = {}
    for pose, frame in poses:
        points = _pixels(pose.body, frame)
        for end, begin in PARENTS.items():
            if end in points and begin in points:
                seen.setdefault(end, []).append(math.dist(points[end], points[begin]))
    return {end: float(np.quantile(lengths, 0.75)) for end, lengths in seen.items() if max(lengths) > 0}


def _first_person(frames: Sequence[PoseFrame]) -> list[tuple[Pose, PoseFrame]]:
    tracks = track_people(frames)
    person = next((track for track in tracks if any(any(pose.body) for pose in track.poses.values())), None)
    if person is None:
        raise ValueError("The reference pose shows nobody's body: wire the keypoints of a picture of the whole person.")
    return [(pose, frames[number]) for number, pose in person.poses.items()]


def _own_lengths(poses: Mapping[int, Pose], frames: Sequence[PoseFrame]) -> dict[int, float]:
    return limb_lengths([(pose, frames[number]) for number, pose in poses.items()])


def _towards(reference: Mapping[int, float], own: Mapping[int, float]) -> Body:
    """Factors that give `own` limbs the proportions of the reference, the sum of all lengths kept."""
    common = reference.keys() & own.keys()
    if not common:
        return Body({})
    size = sum(own[end] for end in common) / sum(reference[end] for end in common)
    return Body({end: size * reference[end] / own[end] for end in common})


def _rebuilt(pose: Pose, frame: PoseFrame, body: Body, anchor: Anchor) -> Pose:
    """One person with other limbs, the anchor where it was."""
    before = _pixels(pose.body, frame)
    after = dict(before)
    for end in _outwards():
        begin = PARENTS[end]
        while begin not in before and begin in PARENTS:
            begin = PARENTS[begin]
        if end in before and begin in before:
            after[end] = after[begin] + body.factors.get(end, 1.0) * (before[end] - before[begin])
    held = _anchor_points(before, anchor)
    shift = np.mean([before[index] - after[index] for index in held], axis=0) if held else np.zeros(2)
    after = {index: point + shift for index, point in after.items()}
    feet = zip((pose.feet[:_FOOT], pose.feet[_FOOT:]), (LEFT_ANKLE, RIGHT_ANKLE), strict=True)
    moved_feet = [_follow(foot, None, before.get(at), after.get(at), body.legs, frame) for foot, at in feet]
    return replace(
        pose,
        body=_fractions(pose.body, after, frame),
        left_hand=_follow(pose.left_hand, 0, before.get(LEFT_WRIST), after.get(LEFT_WRIST), body.arms, frame),
        right_hand=_follow(pose.right_hand, 0, before.get(RIGHT_WRIST), after.get(RIGHT_WRIST), body.arms, frame),
        face=_follow(pose.face, None, before.get(NOSE), after.get(NOSE), body.head, frame),
        face_mesh=_follow(pose.face_mesh, None, before.get(NOSE), after.get(NOSE), body.head, frame),
        feet=(*moved_feet[0], *moved_feet[1]),
    )


def _outwards() -> list[int]:
    """Body points, each after its parent."""
    order: list[int] = [NECK]
    while len(order) <= len(PARENTS):
        order += [end for end, begin in PARENTS.items() if begin in order and end not in order]
    return order[1:]


def _anchor_points(points: Mapping[int, np.ndarray], anchor: Anchor) -> list[int]:
    """The body points that stay where they are; the neck where the wanted ones are not in the picture."""
    if anchor == "feet":
        ankles = [index for index in ANKLES if index in points]
        if ankles:
            return [max(ankles, key=lambda index: float(points[index][1]))]
    if anchor == "hips":
        hips = [index for index in HIPS if index in points]
        if hips:
            return hips
    return [NECK] if NECK in points else []


def _follow(
    points: Keypoints,
    root: int | None,
    before: np.ndarray | None,
    after: np.ndarray | None,
    factor: float,
    frame: PoseFrame,
) -> Keypoints:
    """A hand or face, moved as the body point that it hangs on and scaled around it.

    root: the part's own point that it turns around, None for the body's.
    """
    if before is None or after is None or not points:
        return points
    pixels = _pixels(points, frame)
    middle = pixels.get(root, before) if root is not None else before
    moved = {index: middle + (after - before) + factor * (point - middle) for index, point in pixels.items()}
    return _fractions(points, moved, frame)


def _pixels(points: Keypoints, frame: PoseFrame) -> dict[int, np.ndarray]:
    """The points that were found, in pixels."""
    size = np.array([frame.width, frame.height], float)
    return {index: np.array(point[:2]) * size for index, point in enumerate(points) if point is not None}


def _fractions(points: Keypoints, pixels: Mapping[int, np.ndarray], frame: PoseFrame) -> Keypoints:
    """Points at other places, as fractions of the canvas."""
    size = np.array([frame.width, frame.height], float)
    moved = {index: point / size for index, point in pixels.items()}
    return tuple(
        None if point is None else Keypoint(float(moved[index][0]), float(moved[index][1]), point.score)
        for index, point in enumerate(points)
    )

"""Some of the people and parts of a film's poses."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

from .keypoints import Keypoints, Pose, PoseFrame

PeopleOrder = Literal["as found", "largest", "leftmost", "rightmost", "most central"]
PEOPLE_ORDERS: tuple[PeopleOrder, ...] = get_args(PeopleOrder)

PART_NAMES = tuple(field.name for field in fields(Pose))


@dataclass(frozen=True)
class Box:
    """The rectangle around a person's points, as fractions of the picture's width and height."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def center(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.bottom - self.top)


@dataclass(frozen=True)
class Selection:
    """Which people and parts of every frame stay.

    body, hands, face: the parts; feet and animals go with bodies, meshes with faces. order, count: the first `count`
    people in this order; 0 keeps all. minimum_score: points with a lower score count as not found, 0..1.
    """

    body: bool = True
    hands: bool = True
    face: bool = True
    order: PeopleOrder = "as found"
    count: int = 0
    minimum_score: float = 0.0


def points_of(pose: Pose) -> list[tuple[float, float]]:
    """x and y of all points that were found."""
    return [(point.x, point.y) for part in PART_NAMES for point in getattr(pose, part) if point is not None]


def box_of(pose: Pose) -> Box | None:
    """The box around a person; None without points."""
    points = points_of(pose)
    if not points:
        return None
    across, down = zip(*points, strict=True)
    return Box(min(across), min(down), max(across), max(down))


def select_poses(frames: Sequence[PoseFrame], selection: Selection) -> list[PoseFrame]:
    """The frames with the people and parts of the selection; people of whom nothing is left are left out."""
    return [replace(frame, poses=tuple(_people(frame, selection))) for frame in frames]


def _people(frame: PoseFrame, selection: Selection) -> Iterable[Pose]:
    kept = [_parts(pose, selection) for pose in frame.poses]
    people = [(pose, box) for pose in kept if (box := box_of(pose)) is not None]
    if selection.order != "as found":
        people.sort(key=lambda person: _rank(person[1], selection.order, frame.width / frame.height))
    return [pose for pose, _ in people[: selection.count or None]]


def _parts(pose: Pose, selection: Selection) -> Pose:
    wanted = dict.fromkeys(("body", "feet", "animal"), selection.body)
    wanted |= dict.fromkeys(("left_hand", "right_hand"), selection.hands)
    wanted |= dict.fromkeys(("face", "face_mesh"), selection.face)
    return Pose(**{part: _certain(getattr(pose, part), selection) if keep else () for part, keep in wanted.items()})


def _certain(points: Keypoints, selection: Selection) -> Keypoints:
    kept = tuple(None if point is None or point.score < selection.minimum_score else point for point in points)
    return kept if any(kept) else ()


def _rank(box: Box, order: PeopleOrder, aspect: float) -> float:
    """Smaller comes first."""
    across, down = box.center
    return {
        "largest": -box.area,
        "leftmost": across,
        "rightmost": -across,
        "most central": (aspect * (across - 0.5)) ** 2 + (down - 0.5) ** 2,
    }[order]

"""Who is who in the frames of a film, by the overlap of the boxes around people."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .keypoints import Pose, PoseFrame
from .select import Box, box_of

LEAST_OVERLAP = 0.1
"""Intersection over union below which two boxes are two people."""
_POINT = 1e-6
"""Least extent of a box, so that a person of one point, or of points in a line, overlaps with itself."""


@dataclass
class Track:
    """One person: the pose in each frame in which they were found."""

    poses: dict[int, Pose] = field(default_factory=dict)
    box: Box | None = None
    """Where they were seen last."""

    @property
    def last(self) -> int:
        return max(self.poses)


def track_people(frames: Sequence[PoseFrame], patience: int = 0) -> list[Track]:
    """The people of a film, in the order in which they appear.

    Each frame's people go to the tracks that they overlap with most, best pair first. A track that was not seen for
    more than `patience` frames is over: who appears there later is another person.
    """
    tracks: list[Track] = []
    for number, frame in enumerate(frames):
        people = [(pose, box) for pose in frame.poses if (box := box_of(pose)) is not None]
        open_tracks = [track for track in tracks if number - track.last <= patience + 1]
        pairs = [
            (_overlap(track.box, box), place, index)
            for place, track in enumerate(open_tracks)
            for index, (_, box) in enumerate(people)
            if track.box is not None
        ]
        matched: dict[int, Track] = {}
        for overlap, place, index in sorted(pairs, key=lambda pair: -pair[0]):
            if overlap >= LEAST_OVERLAP and index not in matched and open_tracks[place] not in matched.values():
                matched[index] = open_tracks[place]
        for index, (pose, box) in enumerate(people):
            track = matched.get(index)
            if track is None:
                track = Track()
                tracks.append(track)
            track.poses[number], track.box = pose, box
    return tracks


def _overlap(first: Box, second: Box) -> float:
    """Intersection over union of two boxes."""
    across = min(first.right, second.right) - max(first.left, second.left) + _POINT
    down = min(first.bottom, second.bottom) - max(first.top, second.top) + _POINT
    if across <= 0 or down <= 0:
        return 0.0
    areas = [(box.right - box.left + _POINT) * (box.bottom - box.top + _POINT) for box in (first, second)]
    return across * down / (sum(areas) - across * down)

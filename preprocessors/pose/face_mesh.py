"""MediaPipe's face mesh: 468 points of every face, and five of each iris.

Source: the graphs face_landmark and iris_landmark of mediapipe 0.10; the iris network knows one eye, the one on the
left of the picture, so the other is shown to it mirrored.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..description import Networks
from ..networks.mediapipe import tflite_network
from .blaze import FACE, Region, detect, turn_of
from .keypoints import FACE_MESH_POINTS

FOUND = 0.5
"""From this score on there is a face, or what else a landmark network looks for."""

_EYES = (slice(36, 42), slice(42, 48))
_IBUG = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,
    168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
"""Vertex of the mesh for each of the 68 points of iBUG 300-W: jaw, brows, nose, eyes, mouth."""

_IRISES = ((33, 133, False), (362, 263, True))
"""Corners of each eye from left to right as the picture shows it, and whether the network sees it mirrored."""
_IRIS_POINTS = 5
_EYE_ROOM = 2.3


@dataclass(frozen=True)
class FaceMesh:
    """One face. points: (468, 2) or, with irises, (478, 2), pixels as x, y. score: how sure there is a face, 0..1."""

    points: np.ndarray
    score: float

    @property
    def size(self) -> float:
        """The shorter side of the box around it, in pixels."""
        return float(np.ptp(self.points, axis=0).min())

    def ibug(self) -> np.ndarray:
        """The 68 points of iBUG 300-W and the centers of the eyes: (70, 2)."""
        points = self.points[list(_IBUG)]
        return np.concatenate([points, *(points[eye].mean(0, keepdims=True) for eye in _EYES)])


def find_meshes(picture: np.ndarray, within: Region, networks: Networks, minimum: float = FOUND) -> list[FaceMesh]:
    """The faces in a region of a picture (H, W, 3) of 0..1, the surest first."""
    found = detect(picture, within, tflite_network(networks, "mediapipe_face_detection"), FACE, minimum)
    network = tflite_network(networks, "mediapipe_face_landmark")
    meshes = []
    for region in found:
        landmarks, logit = network(region.sample(picture, network.size)[None])
        score = float(logit.sigmoid().flatten()[0])
        if score >= FOUND:
            places = landmarks[0].flatten().unflatten(0, (-1, 3))[:, :2].numpy() / network.size
            meshes.append(FaceMesh(region.to_picture(places), score))
    return meshes


def with_irises(picture: np.ndarray, mesh: FaceMesh, networks: Networks) -> FaceMesh:
    """The same face with the five points of each iris behind the 468, that of the person's right eye first."""
    network = tflite_network(networks, "mediapipe_iris_landmark")
    irises = []
    for first, last, mirrored in _IRISES:
        region = eye_region(mesh.points[first], mesh.points[last])
        entry = region.sample(picture, network.size)
        outputs = network((entry.flip(-1) if mirrored else entry)[None])
        (iris,) = (output for output in outputs if output[0].numel() == 3 * _IRIS_POINTS)
        places = iris[0].flatten().unflatten(0, (-1, 3))[:, :2].numpy() / network.size
        irises.append(region.to_picture(np.stack([1 - places[:, 0], places[:, 1]], 1) if mirrored else places))
    points = np.concatenate([mesh.points, *irises])
    if len(points) != FACE_MESH_POINTS:
        raise ValueError(f"mediapipe_face_landmark gave {len(mesh.points)} points of a face; 468 are needed.")
    return FaceMesh(points, mesh.score)


def eye_region(first: np.ndarray, last: np.ndarray) -> Region:
    """The square around an eye, from its corners, left and right in pixels."""
    x, y = (first + last) / 2
    side = _EYE_ROOM * max(1.0, float(np.abs(last - first).max()))
    return Region(float(x), float(y), side, turn_of(first, last, upright=0) if math.dist(first, last) else 0.0)

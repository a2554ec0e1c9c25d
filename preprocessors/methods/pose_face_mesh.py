"""MediaPipe Face Mesh: the contours of faces, as control_mediapipe_face was trained to see them."""

from torch import Tensor

from ..description import Hint, Inputs, Networks, Parameter, Preprocessor, Settings
from ..pose.blaze import whole
from ..pose.drawing.poses import draw_frames
from ..pose.face_mesh import find_meshes, with_irises
from ..pose.keypoints import Pose, PoseFrame, points_inside


def detect_face_meshes(images: Tensor, settings: Settings, networks: Networks) -> list[PoseFrame]:
    """The faces of each picture of a batch (B, H, W, 3) in 0..1: mesh, and the points that OpenPose has of a face."""
    minimum, most, smallest = float(settings["minimum_score"]), int(settings["faces"]), int(settings["smallest_face"])
    height, width = images.shape[1:3]
    frames = []
    for picture in images.float().cpu().contiguous().numpy():
        meshes = find_meshes(picture, whole(picture), networks, minimum)
        large = [mesh for mesh in meshes[:most] if mesh.size >= smallest]
        faces = []
        for mesh in (with_irises(picture, mesh, networks) for mesh in large):
            parts = (mesh.ibug(), mesh.points)
            face, points = (points_inside(part, [mesh.score] * len(part), (height, width), 0.0) for part in parts)
            faces.append(Pose(face=face, face_mesh=points))
        frames.append(PoseFrame(height, width, tuple(faces)))
    return frames


def _run(inputs: Inputs) -> Hint:
    frames = detect_face_meshes(inputs.images, inputs.settings, inputs.networks)
    return Hint(draw_frames(frames).to(inputs.images.device), poses=frames)


FACE_MESH = Preprocessor(
    id="mediapipe_face",
    label="MediaPipe Face Mesh",
    hint="pose",
    description="Colored contours of faces on black: oval, eyes with pupils, brows and lips, each in its own color.",
    run=_run,
    gives_poses=True,
    parameters=(
        Parameter(
            "faces", "Faces", 10, "The most faces of a picture, the surest first.", minimum=1, maximum=50, step=1
        ),
        Parameter(
            "minimum_score",
            "Minimum score",
            0.5,
            "How sure the network must be that there is a face.",
            minimum=0.05,
            maximum=0.95,
            step=0.05,
        ),
        Parameter(
            "smallest_face",
            "Smallest face",
            64,
            "Faces with a shorter side below this are left out: their contours would run together.",
            minimum=0,
            maximum=1024,
            step=1,
            unit="pixels",
        ),
    ),
    weights=("mediapipe_face_detection", "mediapipe_face_landmark", "mediapipe_iris_landmark"),
    aliases=("mediapipe_face", "MediaPipe-FaceMeshPreprocessor", "face mesh", "facial expression", "face landmarks"),
)

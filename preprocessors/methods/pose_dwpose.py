"""DWPose: whole bodies with hands and faces. YOLOX finds people, RTMPose finds 133 points of each.

Sources: Yang et al., "Effective Whole-body Pose Estimation with Two-stages Distillation" (arXiv 2307.15880); Ge et
al., "YOLOX" (arXiv 2107.08430); Li et al., "SimCC" (arXiv 2107.03332); constants of IDEA-Research/DWPose.
"""

from torch import Tensor

from ..description import Hint, Inputs, Networks, Parameter, Preprocessor, Settings
from ..pose.drawing.style import STYLE_PARAMETERS, pose_hint
from ..pose.keypoints import PoseFrame
from ..pose.landmarks import rtmpose_reader
from ..pose.people import PEOPLE
from ..pose.whole_body import DETECTOR, MINIMUM_SCORE, REFERENCE_CHANNELS, Finder, detect_whole_bodies

_CROP = (384, 288)
"""Height and width of what the pose network sees."""
_BACKENDS = ("torch", "onnx")


def detect_dwpose(images: Tensor, settings: Settings, networks: Networks) -> list[PoseFrame]:
    """The poses of each picture of a batch (B, H, W, 3) in 0..1."""
    detector, pose = (_row(name, settings) for name in ("dwpose_det", "dwpose_pose"))
    finder = Finder(lambda: networks(detector), lambda: rtmpose_reader(networks(pose), _CROP), PEOPLE)
    return detect_whole_bodies(images, settings, finder)


def _row(name: str, settings: Settings) -> str:
    """The row of the weights for the chosen backend."""
    return name if settings["backend"] == _BACKENDS[0] else f"{name}_onnx"


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
        MINIMUM_SCORE,
        REFERENCE_CHANNELS,
        DETECTOR,
        Parameter(
            "backend",
            "Backend",
            _BACKENDS[0],
            "torch: on the GPU, several pictures at once. onnx: the .onnx files as onnxruntime runs them, or OpenCV "
            "where that is not installed; picture by picture, on the CPU unless onnxruntime finds a GPU.",
            choices=_BACKENDS,
        ),
    ),
    weights=("dwpose_det", "dwpose_pose"),
    aliases=("DWPreprocessor", "dw_openpose_full", "DW Pose", "skeleton", "stick figure"),
)

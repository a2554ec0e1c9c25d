"""ViTPose: people by a plain vision transformer; whole bodies with hands, face and feet, or bodies alone.

Sources: Xu et al., "ViTPose" (arXiv 2204.12484); Ge et al., "YOLOX" (arXiv 2107.08430); the whole-body checkpoints of
JunkyByte/easy_ViTPose, which come from the authors' ViTPose+.
"""

from torch import Tensor

from ..description import Hint, Inputs, Networks, Parameter, Preprocessor, Settings
from ..pose.drawing.style import STYLE_PARAMETERS, pose_hint
from ..pose.keypoints import PoseFrame
from ..pose.landmarks import vitpose_reader
from ..pose.people import PEOPLE
from ..pose.whole_body import DETECTOR, MINIMUM_SCORE, REFERENCE_CHANNELS, Finder, detect_whole_bodies

_SIZES = {"small": "s", "base": "b", "large": "l", "huge": "h"}
_POINTS = {"whole body": "wholebody", "body": "coco"}


def detect_vitpose(images: Tensor, settings: Settings, networks: Networks) -> list[PoseFrame]:
    """The poses of each picture of a batch (B, H, W, 3) in 0..1."""
    row = f"vitpose_{_SIZES[str(settings['model'])]}_{_POINTS[str(settings['points'])]}"
    finder = Finder(lambda: networks("dwpose_det"), lambda: vitpose_reader(networks(row)), PEOPLE)
    return detect_whole_bodies(images, settings, finder)


def _run(inputs: Inputs) -> Hint:
    return pose_hint(detect_vitpose(inputs.images, inputs.settings, inputs.networks), inputs)


VITPOSE = Preprocessor(
    id="vitpose",
    label="ViTPose",
    hint="pose",
    description="Colored skeletons of all people on black by a vision transformer, with hands, faces and feet.",
    run=_run,
    gives_poses=True,
    parameters=(
        Parameter(
            "model",
            "Model",
            "base",
            "Size of the network: small (97 MB), base (360 MB), large (1234 MB), huge (2549 MB). Larger ones find "
            "hidden joints better. All are Apache-2.0.",
            choices=tuple(_SIZES),
        ),
        Parameter(
            "points",
            "Points",
            "whole body",
            "What the network finds: whole body with hands, face and feet, or the body alone.",
            choices=tuple(_POINTS),
        ),
        *STYLE_PARAMETERS,
        MINIMUM_SCORE,
        REFERENCE_CHANNELS,
        DETECTOR,
    ),
    weights=("dwpose_det", "vitpose_b_wholebody"),
    aliases=("VitPose", "easy_ViTPose", "ViTPose+", "whole body pose", "skeleton", "stick figure"),
)

"""Animal pose: YOLOX finds animals, RTMPose finds 17 points of each.

Sources: Yu et al., "AP-10K" (arXiv 2108.12617); Jiang et al., "RTMPose" (arXiv 2303.07399); Ge et al., "YOLOX" (arXiv
2107.08430).
"""

from dataclasses import replace

from torch import Tensor

from ..description import Hint, Inputs, Networks, Parameter, Preprocessor, Settings
from ..pose.drawing.poses import draw_frames
from ..pose.keypoints import Pose, PoseFrame
from ..pose.landmarks import rtmpose_reader
from ..pose.people import ANIMALS
from ..pose.whole_body import (
    MINIMUM_SCORE,
    NO_DETECTOR,
    REFERENCE_CHANNELS,
    Finder,
    certain_points,
    find_points,
)

_CROP = (256, 256)
"""Height and width of what the pose network sees."""


def detect_animals(images: Tensor, settings: Settings, networks: Networks) -> list[PoseFrame]:
    """The animals of each picture of a batch (B, H, W, 3) in 0..1."""
    size, minimum = (images.shape[1], images.shape[2]), float(settings["point_score"])
    finder = Finder(
        lambda: networks("dwpose_det"), lambda: rtmpose_reader(networks("rtmpose_animal"), _CROP), wanted=ANIMALS
    )
    frames = []
    for animals in find_points(images, settings, finder):
        found = (certain_points(points, size, minimum) for points in animals)
        frames.append(PoseFrame(*size, tuple(Pose(animal=points) for points in found if any(points))))
    return frames


def _run(inputs: Inputs) -> Hint:
    frames = detect_animals(inputs.images, inputs.settings, inputs.networks)
    return Hint(draw_frames(frames).to(inputs.images.device), poses=frames)


ANIMAL_POSE = Preprocessor(
    id="animal_pose",
    label="Animal Pose",
    hint="pose",
    description="Colored skeletons of animals on black: cats, dogs, horses, cows, sheep, bears and other quadrupeds.",
    run=_run,
    gives_poses=True,
    parameters=(
        replace(MINIMUM_SCORE, tooltip="How sure the detector must be of an animal."),
        Parameter(
            "point_score",
            "Point score",
            0.0,
            "How sure the network must be of each point. 0 draws all of them, as the ControlNet was trained.",
            minimum=0.0,
            maximum=0.95,
            step=0.05,
        ),
        replace(
            REFERENCE_CHANNELS, tooltip="Give the detector red and blue exchanged, as other annotators do by mistake."
        ),
        Parameter(
            "detector",
            "Detector",
            "yolox_l",
            "What finds animals. none: the whole picture is taken as one animal, for close-ups, crops and kinds that "
            "the detector does not know.",
            choices=("yolox_l", NO_DETECTOR),
        ),
    ),
    weights=("dwpose_det", "rtmpose_animal"),
    aliases=("AnimalPosePreprocessor", "animal_openpose", "AP-10K", "AP10K", "animal skeleton", "dog pose", "RTMPose"),
)

"""Poses of a film: who and what of them, without trembling, and by another body."""

from comfy_api.latest import io

from ...preprocessors.pose.keypoints import PoseFrame, to_pose_keypoint
from ...preprocessors.pose.read_keypoints import from_pose_keypoint
from ...preprocessors.pose.retarget import ANCHORS, PROPORTIONS, Anchor, Body, proportions, retarget
from ...preprocessors.pose.select import PEOPLE_ORDERS, PeopleOrder, Selection, select_poses
from ...preprocessors.pose.smoothing import Smoothing, smooth_poses
from ..compat import schema
from ..sockets import POSE_KEYPOINT

REFERENCE = "of the reference"
"""Choice of proportions: those of the wired person."""


def _keypoints_input() -> io.Input:
    return POSE_KEYPOINT.Input("keypoints", tooltip="Poses, one frame for each picture: from a pose preprocessor.")


def _keypoints_output(tooltip: str) -> io.Output:
    return POSE_KEYPOINT.Output(display_name="keypoints", tooltip=f"{tooltip} Draw them with Pose.")


class ZeroConvSelectPoses(io.ComfyNode):
    """Keep some people and parts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvSelectPoses",
            display_name="Select Poses",
            category="ZeroConv/draw",
            description="Keeps some of the people, and of them the parts that you want, frame by frame.",
            search_aliases=["filter poses", "largest person", "pose score", "hands only", "remove face"],
            inputs=[
                _keypoints_input(),
                io.Boolean.Input("body", default=True, tooltip="Keep bodies."),
                io.Boolean.Input("hands", default=True, tooltip="Keep hands."),
                io.Boolean.Input("face", default=True, tooltip="Keep faces."),
                io.Combo.Input(
                    "order",
                    options=list(PEOPLE_ORDERS),
                    tooltip="Who comes first: as found, by the size of the box around the person, or by where it is.",
                ),
                io.Int.Input(
                    "people", default=0, min=0, max=200, tooltip="How many people to keep of each frame. 0 keeps all."
                ),
                io.Float.Input(
                    "minimum_score",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Points that the detector is less sure of are left out.",
                ),
            ],
            outputs=[_keypoints_output("What was kept.")],
        )

    @classmethod
    def execute(
        cls,
        keypoints: object,
        body: bool,
        hands: bool,
        face: bool,
        order: PeopleOrder,
        people: int,
        minimum_score: float,
    ) -> io.NodeOutput:
        selection = Selection(body, hands, face, order, people, minimum_score)
        return io.NodeOutput(to_pose_keypoint(select_poses(from_pose_keypoint(keypoints), selection)))


class ZeroConvSmoothPoses(io.ComfyNode):
    """Take the trembling out of a film's poses."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        defaults = Smoothing()
        return schema(
            node_id="ZeroConvSmoothPoses",
            display_name="Smooth Poses",
            category="ZeroConv/draw",
            description=(
                "Smooths poses over the frames of a film without lagging behind the motion, and fills short gaps. "
                "People are told apart by where they are."
            ),
            search_aliases=["one euro filter", "pose jitter", "stabilize pose", "interpolate pose"],
            inputs=[
                _keypoints_input(),
                io.Float.Input(
                    "cutoff",
                    default=defaults.cutoff,
                    min=0.01,
                    max=30.0,
                    step=0.01,
                    tooltip="In hertz: how fast a small motion may be. Lower is calmer.",
                ),
                io.Float.Input(
                    "beta",
                    default=defaults.beta,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="How closely fast motion is followed. Raise it if quick moves are cut short.",
                ),
                io.Float.Input(
                    "frame_rate",
                    default=defaults.frame_rate,
                    min=1.0,
                    max=240.0,
                    step=0.01,
                    tooltip="Frames of the film in a second.",
                ),
                io.Int.Input(
                    "fill",
                    default=defaults.fill,
                    min=0,
                    max=240,
                    tooltip="Points and people that are missing for at most so many frames are filled in.",
                ),
            ],
            outputs=[_keypoints_output("The poses without trembling.")],
        )

    @classmethod
    def execute(cls, keypoints: object, cutoff: float, beta: float, frame_rate: float, fill: int) -> io.NodeOutput:
        smoothing = Smoothing(cutoff, beta, frame_rate, fill)
        return io.NodeOutput(to_pose_keypoint(smooth_poses(from_pose_keypoint(keypoints), smoothing)))


class ZeroConvRetargetPoses(io.ComfyNode):
    """Give the people of a film another body."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvRetargetPoses",
            display_name="Retarget Poses",
            category="ZeroConv/draw",
            description=(
                "The same motion by another body: limbs get the lengths of a reference person, or of a preset, and "
                "keep their directions. Hands and face follow."
            ),
            search_aliases=["pose retarget", "change proportions", "limb length", "body proportions", "pose transfer"],
            inputs=[
                _keypoints_input(),
                io.Combo.Input(
                    "proportions",
                    options=[REFERENCE, *PROPORTIONS],
                    tooltip="Of the reference person, or a preset. Everybody keeps their own size.",
                ),
                io.Combo.Input(
                    "anchor",
                    options=list(ANCHORS),
                    tooltip="What stays where it is: the hips, the lower foot, or the neck.",
                ),
                POSE_KEYPOINT.Input(
                    "reference",
                    optional=True,
                    tooltip="The person whose proportions to take: best one picture of the whole body from the front.",
                ),
            ],
            outputs=[_keypoints_output("The poses by the other body.")],
        )

    @classmethod
    def execute(cls, keypoints: object, proportions: str, anchor: Anchor, reference: object = None) -> io.NodeOutput:
        return io.NodeOutput(
            to_pose_keypoint(retarget(from_pose_keypoint(keypoints), _body(proportions, reference), anchor))
        )


def _body(name: str, reference: object) -> Body | list[PoseFrame]:
    """The body of a choice. Raises ValueError when it is that of the reference, and none is wired."""
    if name != REFERENCE:
        return proportions(name)
    if reference is None:
        raise ValueError("Wire the poses of a person to reference of Retarget Poses, or choose a preset.")
    return from_pose_keypoint(reference)


NODES = [ZeroConvSelectPoses, ZeroConvSmoothPoses, ZeroConvRetargetPoses]

"""Photographs to hints: a node for each preprocessor, made from its description, and one that offers them all."""

from typing import Any, ClassVar, cast

import torch
from comfy_api.latest import io, ui

from ...host.preprocessing.networks import NETWORKS
from ...host.preprocessing.run import compare_preprocessors, output_without_value, run_preprocessor
from ...preprocessors.catalogue import preprocessor_of, preprocessors
from ...preprocessors.description import DepthKind, Parameter, Preprocessor
from ...preprocessors.pose.keypoints import to_pose_keypoint
from ...preprocessors.running import Options
from ...preprocessors.settings_text import parse_settings
from ...preprocessors.sizes import LARGEST, RESULT_SIZES, ResultSize
from ...preprocessors.weights.catalogue import weights_of
from ..compat import schema
from ..sockets import POSE_KEYPOINT
from .method_choice import MethodChoice

PREVIEWS = 8
"""Images of a batch that a node shows."""

BEFORE_EDGE = 1024
"""Longer side of the input as it is shown beside its hint."""

IMAGE = "The photograph or drawing. Transparent parts count as white."
LABELS = "The class of every pixel as a grey level: saved as an 8-bit picture, black is class 0, the next level 1 ..."
POSES = "The poses found, in OpenPose's format: for the Pose node, and for the nodes of other packs."
DEPTH = "The depth as the network gives it, not cut to 0..1: {}. For any node that takes masks, such as a threshold."
DEPTH_MEANINGS: dict[DepthKind, str] = {
    "inverse": "one over the distance, near is large, in a unit of its own",
    "distance": "the distance, near is small, in a unit of its own",
    "meters": "the distance in meters",
}
ANY_DEPTH = (
    "The depth of a depth method as its network gives it, not cut to 0..1. For any node that takes masks, such as a "
    "threshold, and for Save Depth."
)
MASK = "1 (white) where the picture is masked. Any size; one for all images or one for each."


def _resolution() -> io.Input:
    tooltip = "Shorter side of the picture that the method sees; the aspect is kept. 0 = the image's own size."
    return io.Int.Input("resolution", default=0, min=0, max=LARGEST, step=8, tooltip=tooltip)


def _result_size() -> io.Input:
    tooltip = "Size of the hint: that at which it was processed, or that of the input image."
    options = list(RESULT_SIZES)
    return io.Combo.Input("result_size", options=options, default=options[0], tooltip=tooltip)


def _widget(parameter: Parameter) -> io.Input:
    """The widget of a parameter, by the type of its default. An appended one may be missing in older prompts."""
    common: dict[str, Any] = {"display_name": parameter.label, "tooltip": _tooltip(parameter)}
    common["optional"] = parameter.appended
    default = parameter.default
    if isinstance(default, bool):
        return io.Boolean.Input(parameter.name, default=default, **common)
    if isinstance(default, str):
        if parameter.choices:
            return io.Combo.Input(parameter.name, options=list(parameter.choices), default=default, **common)
        return io.String.Input(parameter.name, default=default, **common)
    bounds: dict[str, Any] = {"min": parameter.minimum, "max": parameter.maximum, "step": parameter.step}
    kind = io.Int if isinstance(default, int) else io.Float
    return kind.Input(parameter.name, default=cast(Any, default), **bounds, **common)


def _tooltip(parameter: Parameter) -> str:
    return f"{parameter.tooltip} In {parameter.unit}." if parameter.unit else parameter.tooltip


def _description(preprocessor: Preprocessor) -> str:
    needs = [f"{row.file} ({row.size}, {row.license})" for row in map(weights_of, preprocessor.weights)]
    weights = f" Weights: {'; '.join(needs)}." if needs else ""
    license = f" License: {preprocessor.license}." if preprocessor.license else ""
    purpose = "" if preprocessor.hint == "other" else f" For {preprocessor.hint} ControlNets."
    return f"{preprocessor.description}{purpose}{weights}{license}"


class NetworkOwner(io.ComfyNode):
    """A node whose networks stay loaded as long as its workflow does."""

    def __init__(self) -> None:
        super().__init__()
        NETWORKS.keep_for(self)


class PreprocessorNode(NetworkOwner):
    """The part that the nodes of all methods share."""

    preprocessor: ClassVar[Preprocessor]

    @classmethod
    def define_schema(cls) -> io.Schema:
        method = cls.preprocessor
        mask = [io.Mask.Input("mask", tooltip=MASK)] if method.takes_mask else []
        result_size = [_result_size()] if method.has_result_size else []
        labels = [io.Image.Output(display_name="labels", tooltip=LABELS)] if method.gives_labels else []
        poses = [POSE_KEYPOINT.Output(display_name="keypoints", tooltip=POSES)] if method.gives_poses else []
        depth = [io.Mask.Output(display_name="depth", tooltip=_depth_tooltip(method.depth))] if method.depth else []
        return schema(
            node_id=method.node_id,
            display_name=method.label,
            category=f"ZeroConv/preprocess/{method.hint}",
            description=_description(method),
            search_aliases=list(method.aliases),
            is_output_node=True,
            inputs=[
                io.Image.Input("image", tooltip=IMAGE),
                _resolution(),
                *(_widget(parameter) for parameter in method.parameters if not parameter.appended),
                *result_size,
                *mask,
                *(_widget(parameter) for parameter in method.parameters if parameter.appended),
            ],
            outputs=[io.Image.Output(display_name="hint", tooltip=method.description), *labels, *poses, *depth],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        resolution: int,
        result_size: ResultSize = "processing",
        mask: torch.Tensor | None = None,
        **settings: Any,
    ) -> io.NodeOutput:
        options = Options(resolution, result_size, mask)
        hint = run_preprocessor(cls.preprocessor, image, settings, options)
        labels = [] if hint.labels is None else [_as_grey(hint.labels)]
        poses = [] if hint.poses is None else [to_pose_keypoint(hint.poses)]
        depth = [] if hint.depth is None else [hint.depth]
        return io.NodeOutput(hint.image, *labels, *poses, *depth, ui=_shown(cls, hint.image, image))


def _depth_tooltip(kind: DepthKind) -> str:
    return DEPTH.format(DEPTH_MEANINGS[kind])


def _as_grey(labels: torch.Tensor) -> torch.Tensor:
    """Classes (B, H, W), 0..254, as an image whose grey levels in 8 bits are the classes."""
    return (labels[..., None].float() / 255).expand(-1, -1, -1, 3)


def _shown(cls: type[io.ComfyNode], hint: torch.Tensor, image: torch.Tensor | None) -> dict[str, Any]:
    """The node's display after a run: the hints, and for js/hint/ the first image that they were made of."""
    shown = ui.PreviewImage(hint[:PREVIEWS], cls=cast(Any, cls)).as_dict()
    if image is None:
        return shown
    smaller = min(1.0, BEFORE_EDGE / max(image.shape[1:3]))
    before = image[:1, ..., :3].movedim(-1, 1)
    if smaller < 1:
        before = torch.nn.functional.interpolate(before, scale_factor=smaller, mode="area")
    pictures = ui.PreviewImage(before.movedim(1, -1), cls=cast(Any, cls)).as_dict()
    return {**shown, "zeroconv_before": pictures["images"]}


def _node_of(preprocessor: Preprocessor) -> type[io.ComfyNode]:
    body = {"preprocessor": preprocessor, "__doc__": preprocessor.description, "__module__": __name__}
    return type(preprocessor.node_id, (PreprocessorNode,), body)


METHOD = MethodChoice("method", tooltip="What makes the hint.")


class ZeroConvPreprocess(NetworkOwner):
    """All preprocessors by name, and a sheet to choose by."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        compare = (
            "Also try every method that needs no missing weights on the first image, side by side: which hint fits?"
        )
        settings = (
            "Settings of the method as name=value, parted by commas, for example low_threshold=50. Empty: defaults."
        )
        return schema(
            node_id="ZeroConvPreprocess",
            display_name="Hint from Any Preprocessor",
            category="ZeroConv/preprocess",
            description="Makes a hint by any method, and shows which methods suit the picture.",
            search_aliases=["AIO preprocessor", "hint", "annotator", "control image"],
            is_output_node=True,
            inputs=[
                io.Image.Input("image", tooltip=IMAGE),
                _resolution(),
                METHOD,
                _result_size(),
                io.Boolean.Input("compare", default=False, tooltip=compare),
                io.String.Input("settings", default="", tooltip=settings),
                io.Mask.Input("mask", optional=True, tooltip=MASK + " Only for methods that take one."),
            ],
            outputs=[
                io.Image.Output(display_name="hint", tooltip="The hint of the chosen method."),
                io.Image.Output(display_name="sheet", tooltip="All methods side by side; the hint when not compared."),
                io.Mask.Output(display_name="depth", tooltip=ANY_DEPTH),
            ],
        )

    @classmethod
    def validate_inputs(cls, method: str | None = None) -> bool | str:
        return METHOD.accepts(method)

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        resolution: int,
        method: str,
        result_size: ResultSize,
        compare: bool,
        settings: str = "",
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        preprocessor = preprocessor_of(method)
        options = Options(resolution, result_size, mask)
        hint = run_preprocessor(preprocessor, image, parse_settings(preprocessor, settings), options)
        sheet = compare_preprocessors(image, options) if compare else hint.image
        depth = _no_depth(preprocessor) if hint.depth is None else hint.depth
        return io.NodeOutput(hint.image, sheet, depth, ui=_shown(cls, sheet, None if compare else image))


def _no_depth(preprocessor: Preprocessor) -> Any:
    return output_without_value(
        f"{preprocessor.label} makes no depth. Choose a method of depth in Hint from Any Preprocessor, such as "
        "depth_anything_v2, or take the wire off its depth output."
    )


NODES: list[type[io.ComfyNode]] = [
    ZeroConvPreprocess,
    *(_node_of(preprocessor) for preprocessor in preprocessors().values()),
]

"""Nodes of other packs, and ours that do their work: for workflows that were made with packs that are not installed.

Names, inputs and their order are those of comfyui_controlnet_aux and Advanced-ControlNet (2026). Newer hosts offer to
put our node in the place of a missing one; older ones do not, and there the table says what to choose by hand. A value
that the other pack writes in words where ours is a switch (`enable`), or as a file where ours is a size, cannot be
carried over: ours then gets what the other pack has by default, which `values` says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Value = str | int | float | bool


@dataclass(frozen=True)
class Replacement:
    """old: id of the other pack's node. new: of ours. widgets: the old node's widgets in their order.

    inputs: of ours, by the old name. values: of inputs that have no counterpart. outputs: our number for each of the
    old node's outputs that ours has.
    """

    old: str
    new: str
    widgets: tuple[str, ...]
    inputs: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Value] = field(default_factory=dict)
    outputs: tuple[int, ...] = (0,)


def _aux(old: str, new: str, *widgets: str, values: Mapping[str, Value] | None = None, **inputs: str) -> Replacement:
    """A preprocessor: its picture and resolution, and the widgets that ours has too. inputs: ours by the old name."""
    shared = {"image": "image"} | ({"resolution": "resolution"} if "resolution" in widgets else {})
    return Replacement(old, f"ZeroConv{new}", widgets, shared | inputs, values or {})


RESOLUTION = "resolution"
POSE = ("detect_hand", "detect_body", "detect_face", RESOLUTION)

PREPROCESSORS = (
    _aux(
        "CannyEdgePreprocessor", "Canny", "low_threshold", "high_threshold", RESOLUTION,
        low_threshold="low_threshold", high_threshold="high_threshold",
    ),
    _aux(
        "PyraCannyPreprocessor", "CannyPyramid", "low_threshold", "high_threshold", RESOLUTION,
        low_threshold="low_threshold", high_threshold="high_threshold",
    ),
    _aux("HEDPreprocessor", "Hed", "safe", RESOLUTION, values={"safe": True}),
    _aux("PiDiNetPreprocessor", "Pidinet", "safe", RESOLUTION, values={"safe": True}),
    _aux("TEEDPreprocessor", "Teed", "safe_steps", RESOLUTION, safe_steps="safe_steps"),
    _aux(
        "M-LSDPreprocessor", "Mlsd", "score_threshold", "dist_threshold", RESOLUTION,
        score_threshold="score_threshold", distance_threshold="dist_threshold",
    ),
    _aux("FakeScribblePreprocessor", "ScribbleHed", "safe", RESOLUTION, values={"safe": True}),
    _aux("Scribble_PiDiNet_Preprocessor", "ScribblePidinet", "safe", RESOLUTION, values={"safe": True}),
    _aux("Scribble_XDoG_Preprocessor", "ScribbleXdog", "threshold", RESOLUTION, threshold="threshold"),
    _aux("ScribblePreprocessor", "Scribble", RESOLUTION),
    _aux("BinaryPreprocessor", "Threshold", "bin_threshold", RESOLUTION, threshold="bin_threshold"),
    _aux("ColorPreprocessor", "ColorGrid", RESOLUTION),
    _aux("LineArtPreprocessor", "LineartRealistic", "coarse", RESOLUTION),
    _aux("AnimeLineArtPreprocessor", "LineartAnime", RESOLUTION),
    _aux("Manga2Anime_LineArt_Preprocessor", "LineartManga", RESOLUTION),
    _aux(
        "LineartStandardPreprocessor", "LineartStandard", "guassian_sigma", "intensity_threshold", RESOLUTION,
        sigma="guassian_sigma", intensity_threshold="intensity_threshold",
    ),
    _aux("MiDaS-DepthMapPreprocessor", "MidasDepth", "a", "bg_threshold", RESOLUTION),
    _aux("MiDaS-NormalMapPreprocessor", "MidasNormals", "a", "bg_threshold", RESOLUTION,
         flatness="a", background_threshold="bg_threshold"),
    _aux("BAE-NormalMapPreprocessor", "NormalBae", RESOLUTION),
    _aux("DepthAnythingPreprocessor", "DepthAnything", "ckpt_name", RESOLUTION, values={"model": "large"}),
    _aux("DepthAnythingV2Preprocessor", "DepthAnythingV2", "ckpt_name", RESOLUTION, values={"model": "large"}),
    _aux("OpenposePreprocessor", "Openpose", *POSE, "scale_stick_for_xinsr_cn"),
    _aux("DWPreprocessor", "Dwpose", *POSE, "bbox_detector", "pose_estimator", "scale_stick_for_xinsr_cn"),
    _aux("UniFormer-SemSegPreprocessor", "UniformerSegmentation", RESOLUTION),
    _aux("SemSegPreprocessor", "UniformerSegmentation", RESOLUTION),
    _aux("ShufflePreprocessor", "Shuffle", RESOLUTION, "seed", "control_after_generate", seed="seed"),
    _aux(
        "TTPlanet_TileGF_Preprocessor", "TileGuidedFilter",
        "scale_factor", "blur_strength", "radius", "eps", RESOLUTION,
        rate="scale_factor", blur="blur_strength", radius="radius", epsilon="eps",
    ),
    _aux("ImageLuminanceDetector", "RecolorLuminance", "gamma_correction", RESOLUTION, gamma="gamma_correction"),
    _aux("ImageIntensityDetector", "RecolorIntensity", "gamma_correction", RESOLUTION, gamma="gamma_correction"),
    _aux(
        "AnyLineArtPreprocessor_aux", "Anyline", "merge_with_lineart", RESOLUTION, "lineart_lower_bound",
        "lineart_upper_bound", "object_min_size", "object_connectivity",
        lower_bound="lineart_lower_bound", upper_bound="lineart_upper_bound", speck_size="object_min_size",
    ),
)  # fmt: skip

LOADERS = tuple(
    Replacement(old, "ZeroConvLoad", ("cnet",), {"control_net": "cnet", **model}, outputs=(0,))
    for old, model in (
        ("ACN_ControlNetLoaderAdvanced", {}),
        ("ControlNetLoaderAdvanced", {}),
        ("ACN_DiffControlNetLoaderAdvanced", {"model": "model"}),
        ("DiffControlNetLoaderAdvanced", {"model": "model"}),
    )
)

CTRLORA_LOADER = Replacement(
    "ACN_CtrLoRALoader", "ZeroConvLoad", ("base", "lora"), {"control_net": "lora", "base_file": "base"}
)

SPARSE_WIDGETS = ("sparsectrl_name", "use_motion", "motion_strength", "motion_scale", "context_aware")
SPARSE_WIDGETS += ("sparse_hint_mult", "sparse_nonhint_mult", "sparse_mask_mult")
SPARSE_LOADER = Replacement(
    "ACN_SparseCtrlLoaderAdvanced", "ZeroConvLoad", SPARSE_WIDGETS, {"control_net": "sparsectrl_name"}
)

APPLY = {name: name for name in ("positive", "negative", "control_net", "image")}
RANGE = ("strength", "start_percent", "end_percent")

APPLIERS = (
    Replacement(
        "ACN_AdvancedControlNetApply_v2",
        "ZeroConvApply",
        RANGE,
        {**APPLY, **{name: name for name in RANGE}, "mask": "mask_optional", "vae": "vae_optional"},
        outputs=(0, 1),
    ),
)

REPLACEMENTS: tuple[Replacement, ...] = (*PREPROCESSORS, *LOADERS, CTRLORA_LOADER, SPARSE_LOADER, *APPLIERS)


def mappings(replacement: Replacement, defaults: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Where each of our node's inputs gets its value: from an old input, or a value of its own.

    defaults: of our node's widgets, for those that the table leaves out; the host fills in none.
    """
    taken: list[dict[str, Any]] = [{"new_id": mine, "old_id": theirs} for mine, theirs in replacement.inputs.items()]
    values = {**defaults, **replacement.values}
    return taken + [
        {"new_id": name, "set_value": value} for name, value in values.items() if name not in replacement.inputs
    ]

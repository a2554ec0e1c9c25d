"""Advanced-ControlNet: its loaders, Apply, weights and keyframes, by ours. As in its version 1.5.8."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...controlnet.hint.order import parse_frames
from ...controlnet.strength.block_weights import BlockWeights, Listed, MiddleTimes, Numbered, Soft, Uniform
from ...controlnet.strength.control_mode import CfgWeights
from ...host.conditioning import Conditioning, Unit, apply_unit
from ...host.controls.union import add_union_hint, set_union_type
from ...host.loading.load import list_controlnets, load_control
from ...host.settings import with_factors, with_fit
from .keyframes import (
    EASINGS,
    ControlWeights,
    Easing,
    LatentKeyframes,
    Part,
    TimestepKeyframe,
    TimestepKeyframes,
    between,
    parse_latent_keyframes,
    parts_of,
    with_keyframes,
)
from .row import Input, Replacement, StandIn, choice, image, number, socket, switch, whole

PACK = "ComfyUI-Advanced-ControlNet"
SIGN = " 🛂🅐🅒🅝"

CONTROL = (("CONTROL_NET", "CONTROL_NET"),)
WEIGHTS = (("CONTROL_NET_WEIGHTS", "CN_WEIGHTS"), ("TIMESTEP_KEYFRAME", "TK_SHORTCUT"))
KEYFRAMES = (("TIMESTEP_KEYFRAME", "TIMESTEP_KF"),)
LATENTS = (("LATENT_KEYFRAME", "LATENT_KF"),)
BOTH = (("CONDITIONING", "positive"), ("CONDITIONING", "negative"))
ONE = (("CONDITIONING", "CONDITIONING"), ("MODEL", "model_opt"))

FARTHEST = 2**53 - 1
SINGLE_STEPS = "A keyframe acts from its start on, whatever guarantee_steps says up to 1."
MASKED = "A mask is averaged over each point of a residual, where the pack reads it at the point's center. "


def _row(id: str, label: str, inputs: Iterable[Input], outputs: Any, run: Callable[..., Any], **more: Any) -> StandIn:
    def run_as_tuple(**values: Any) -> tuple[Any, ...]:
        given = run(**values)
        return given if isinstance(given, tuple) and len(outputs) > 1 else (given,)

    return StandIn(id, label + SIGN, PACK, tuple(inputs), outputs, run_as_tuple, **more)


def _file(name: str) -> Input:
    return Input(name, "COMBO", listing=list_controlnets)


def _optional(name: str, type: str) -> Input:
    return socket(name, type, optional=True)


# Apply


@dataclass(frozen=True, eq=False)
class _WithVae:
    """The hint of an RGB SparseCtrl, for Apply only: that node has no socket for the VAE that the hint goes through."""

    image: Tensor
    vae: Any


def _parted(control: Any, part: Part, mask: Tensor | None) -> Any:
    """The control with the factors of a part of the sampling, and the mask of Apply."""
    factors: dict[str, Any] = {"schedule": part.schedule, "items": part.items}
    if part.weights is not None:
        factors["block_weights"] = part.weights.blocks
        factors["cfg_weights"] = CfgWeights(1, part.weights.negative) if part.weights.negative != 1 else None
    given = {name: factor for name, factor in factors.items() if factor is not None}
    return with_factors(control, "keyframe", lambda before: replace(before, **given)) if given else control


def _product(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """Both masks (B, H, W) at once, at the size of the first."""
    if one is None or other is None:
        return other if one is None else one
    one, other = (mask[None] if mask.ndim == 2 else mask for mask in (one, other))
    fitted = torch.nn.functional.interpolate(other[:, None], one.shape[-2:], mode="bilinear")[:, 0]
    return one * fitted


def _apply(positive: Conditioning, negative: Conditioning, values: dict[str, Any]) -> tuple[Conditioning, Conditioning]:
    hint, vae = values["image"], values["vae_optional"]
    if isinstance(hint, _WithVae):
        hint, vae = hint.image, vae or hint.vae
    parts = parts_of(values["timestep_kf"], values["latent_kf_override"], values["weights_override"])
    for part in parts:
        unit = Unit(
            _parted(values["control_net"], part, values["mask_optional"]),
            hint,
            values["strength"],
            values["start_percent"],
            values["end_percent"],
            vae,
            _product(values["mask_optional"], part.mask),
        )
        positive, negative = apply_unit(unit, positive, negative)
    return positive, negative


def _apply_to_both(*, positive: Conditioning, negative: Conditioning, **values: Any) -> tuple[Any, ...]:
    given = _apply(positive, negative, values)
    return (*given, values["model_optional"]) if "model_optional" in values else given


def _apply_to_one(*, conditioning: Conditioning, **values: Any) -> tuple[Any, ...]:
    """The negative prompt gets the control too, as the pack wants it."""
    controlled, _ = _apply(conditioning, [], values)
    shared = [[embeddings, {**settings, "control_apply_to_uncond": True}] for embeddings, settings in controlled]
    return (shared if values["strength"] else conditioning), values.get("model_optional")


STRENGTH_AND_RANGE = (
    number("strength", 1.0, 0.0, 10.0),
    number("start_percent", 0.0, 0.0, 1.0, 0.001),
    number("end_percent", 1.0, 0.0, 1.0, 0.001),
)
CONTROL_AND_IMAGE = (socket("control_net", "CONTROL_NET"), image(), *STRENGTH_AND_RANGE)
PROMPTS = (socket("positive", "CONDITIONING"), socket("negative", "CONDITIONING"))
PROMPT = (socket("conditioning", "CONDITIONING"),)
REFINED = (
    _optional("mask_optional", "MASK"),
    _optional("timestep_kf", "TIMESTEP_KEYFRAME"),
    _optional("latent_kf_override", "LATENT_KEYFRAME"),
    _optional("weights_override", "CONTROL_NET_WEIGHTS"),
)
VAE, MODEL = _optional("vae_optional", "VAE"), _optional("model_optional", "MODEL")

_SAME = ("positive", "negative", "control_net", "image", "strength", "start_percent", "end_percent")
TO_APPLY = Replacement(
    "ZeroConvApply", {**{name: name for name in _SAME}, "mask": "mask_optional", "vae": "vae_optional"}, outputs=(0, 1)
)

APPLIERS = (
    _row("ACN_AdvancedControlNetApply_v2", "Apply Advanced ControlNet", (*PROMPTS, *CONTROL_AND_IMAGE, *REFINED, VAE),
         BOTH, _apply_to_both, replacement=TO_APPLY, difference=MASKED + SINGLE_STEPS),
    _row("ACN_AdvancedControlNetApplySingle_v2", "Apply Advanced ControlNet(1)",
         (*PROMPT, *CONTROL_AND_IMAGE, *REFINED, VAE), ONE, _apply_to_one, difference=MASKED + SINGLE_STEPS),
    _row("ACN_AdvancedControlNetApply", "Apply Advanced ControlNet",
         (*PROMPTS, *CONTROL_AND_IMAGE, *REFINED, MODEL, VAE), (*BOTH, ("MODEL", "model_opt")), _apply_to_both,
         replacement=TO_APPLY, difference=MASKED + SINGLE_STEPS),
    _row("ACN_AdvancedControlNetApplySingle", "Apply Advanced ControlNet(1)",
         (*PROMPT, *CONTROL_AND_IMAGE, *REFINED, MODEL, VAE), ONE, _apply_to_one, difference=MASKED + SINGLE_STEPS),
)  # fmt: skip


# Loaders


def _with_keyframes(control: Any, keyframes: TimestepKeyframes | None) -> Any:
    """The control with keyframes of its loader. Raises ValueError for some that only Apply can follow."""
    if not keyframes:
        return control
    parts = parts_of(keyframes, None, None)
    if len(parts) > 1 or parts[0].mask is not None:
        raise ValueError(
            "These keyframes change weights, latents or masks during the sampling. Wire them to timestep_kf of Apply "
            "Advanced ControlNet, not to the loader."
        )
    return _parted(control, parts[0], None)


def _load(name: str, keyframes: str, **values: Any) -> Any:
    """name, keyframes: of the inputs with the file and the keyframes."""
    return _with_keyframes(load_control(values[name], values.get("model")), values[keyframes])


WITH_MODEL = {"model": "model"}
POOLED = "A shuffle ControlNet acts on the positive prompt only, as Load ControlNet (ZeroConv) makes it by default."


def _loader(id: str, difference: bool, file: str, keyframes: str) -> StandIn:
    inputs = ((socket("model", "MODEL"),) if difference else ()) + (
        _file(file),
        _optional(keyframes, "TIMESTEP_KEYFRAME"),
    )
    carried = {"control_net": file, **(WITH_MODEL if difference else {})}
    label = "Load Advanced ControlNet Model" + (" (diff)" if difference else "")
    run = partial(_load, file, keyframes)
    replacement = Replacement("ZeroConvLoad", carried)
    return _row(id, label, inputs, CONTROL, run, replacement=replacement, difference=POOLED)


def _load_ctrlora(base: str, lora: str) -> Any:
    return load_control(lora, base_file=base)


def _load_sparse(sparsectrl_name: str, **values: Any) -> Any:
    """Raises ValueError for multipliers that a control of ours has not."""
    for name in ("motion_strength", "motion_scale", "sparse_hint_mult", "sparse_nonhint_mult", "sparse_mask_mult"):
        if values[name] != 1:
            raise ValueError(f"{name} is {values[name]:g}; ZeroConv runs SparseCtrl with 1 only. Set it to 1.")
    control = load_control(sparsectrl_name)
    frames: tuple[int, ...] = values["sparse_method"] or ()
    if frames:
        control = with_fit(control, control.settings.fit, control.settings.hint_order, frames=frames)
    return _with_keyframes(control, values["tk_optional"])


def _spread(spread: str) -> tuple[int, ...]:
    if spread != "uniform":
        raise ValueError(
            f"spread is '{spread}'; ZeroConv spreads evenly. Name the frames with SparseCtrl Index Method."
        )
    return ()


UNION_TYPES = {
    "openpose": "openpose",
    "depth": "depth",
    "hed/pidi/scribble/ted": "soft edges",
    "canny/lineart/mlsd": "lines",
    "normal": "normal",
    "segment": "segment",
    "tile": "tile",
    "inpaint/outpaint": "repaint",
}


def _load_union(name: str, control_type: str) -> Any:
    control = load_control(name)
    return control if control_type == "none" else set_union_type(control, UNION_TYPES[control_type])


def _load_union_with_hints(plus_input: tuple[tuple[Tensor, str], ...], name: str) -> tuple[Any, ...]:
    (first, kind), *more = plus_input
    control = _load_union(name, kind)
    for hint, another in more:
        control = add_union_hint(control, UNION_TYPES[another], hint, 1.0)
    return control, first


def _union_hint(image: Tensor, control_type: str, prev_plus_input: Any) -> Any:
    return [*(prev_plus_input or ()), (image, control_type)]


LOADERS = (
    _loader("ACN_ControlNetLoaderAdvanced", False, "cnet", "_tk_opt"),
    _loader("ACN_DiffControlNetLoaderAdvanced", True, "cnet", "_tk_opt"),
    _loader("ControlNetLoaderAdvanced", False, "control_net_name", "tk_optional"),
    _loader("DiffControlNetLoaderAdvanced", True, "control_net_name", "tk_optional"),
    _row("ACN_CtrLoRALoader", "Load CtrLoRA Model", (_file("base"), _file("lora")), CONTROL, _load_ctrlora,
         replacement=Replacement("ZeroConvLoad", {"control_net": "lora", "base_file": "base"})),
    _row("ACN_SparseCtrlLoaderAdvanced", "Load SparseCtrl Model",
         (_file("sparsectrl_name"), switch("use_motion", True), number("motion_strength", 1.0, 0.0, 10.0, 0.001),
          number("motion_scale", 1.0, 0.0, 10.0, 0.001), _optional("sparse_method", "SPARSE_METHOD"),
          _optional("tk_optional", "TIMESTEP_KEYFRAME"), choice("context_aware", "nearest_hint", "off", optional=True),
          *(number(f"sparse_{part}_mult", 1.0, 0.0, 10.0, 0.001, optional=True)
            for part in ("hint", "nonhint", "mask"))),
         CONTROL, _load_sparse, replacement=Replacement("ZeroConvLoad", {"control_net": "sparsectrl_name"}),
         difference="A motion module inside the file is left out; frames without a hint get none in any window."),
    _row("ACN_SparseCtrlIndexMethodNode", "SparseCtrl Index Method", (Input("indexes", "STRING", "0"),),
         (("SPARSE_METHOD", "SPARSE_METHOD"),), lambda indexes: parse_frames(indexes)),
    _row("ACN_SparseCtrlSpreadMethodNode", "SparseCtrl Spread Method",
         (choice("spread", "uniform", "starting", "ending", "center"),), (("SPARSE_METHOD", "SPARSE_METHOD"),),
         _spread),
    _row("ACN_SparseCtrlRGBPreprocessor", "RGB SparseCtrl",
         (image(), socket("vae", "VAE"), socket("latent_size", "LATENT")), (("IMAGE", "proc_IMAGE"),),
         lambda image, vae, latent_size: _WithVae(image, vae)),
    _row("ACN_ControlNet++LoaderSingle", "Load ControlNet++ Model (Single)",
         (_file("name"), choice("control_type", *UNION_TYPES, "none", default="none")), CONTROL, _load_union),
    _row("ACN_ControlNet++LoaderAdvanced", "Load ControlNet++ Model (Multi)",
         (socket("plus_input", "PLUS_INPUT"), _file("name")), (*CONTROL, ("IMAGE", "IMAGE")), _load_union_with_hints),
    _row("ACN_ControlNet++InputNode", "ControlNet++ Input",
         (image(), choice("control_type", *UNION_TYPES), _optional("prev_plus_input", "PLUS_INPUT")),
         (("PLUS_INPUT", "PLUS_INPUT"),), _union_hint),
)  # fmt: skip


# Weights


def _weights(blocks: BlockWeights | None, values: dict[str, Any], has_middle: bool = True) -> tuple[Any, ...]:
    """Weights, and a keyframe that has them from the beginning."""
    middle = (values["cn_extras"] or {}).get("middle_mult", 1.0)
    if middle != 1 and has_middle:
        blocks = MiddleTimes(blocks or Uniform(), middle)
    weights = ControlWeights(blocks, values.get("uncond_multiplier", 1.0))
    return weights, (TimestepKeyframe(weights=weights),)


def _soft(base_multiplier: float, **values: Any) -> tuple[Any, ...]:
    return _weights(Soft(base_multiplier), values)


def _numbered(names: tuple[str, ...], **values: Any) -> tuple[Any, ...]:
    *skips, middle = (values[name] for name in names)
    return _weights(Numbered(tuple(skips), middle), values)


def _adapter(names: tuple[str, ...], **values: Any) -> tuple[Any, ...]:
    return _weights(Listed(tuple(values[name] for name in names)), values, has_middle=False)


def _middle(middle_mult: float, cn_extras: dict[str, float] | None) -> dict[str, float]:
    return {**(cn_extras or {}), "middle_mult": middle_mult}


NEGATIVE_AND_EXTRAS = (
    number("uncond_multiplier", 1.0, 0.0, 1.0, optional=True),
    _optional("cn_extras", "CN_WEIGHTS_EXTRAS"),
)
SOFT_SKIPS = tuple(Soft().factors(13))
ONES = (1.0,) * 13
ADAPTER_SOFT = (0.25, 0.62, 0.825, 1.0)
OUTPUTS = (*(f"output_{number}" for number in range(12)), "middle_0")
OLD_OUTPUTS = tuple(f"weight_{number:02}" for number in range(13))
INPUTS = tuple(f"input_{number}" for number in range(4))
OLD_INPUTS = OLD_OUTPUTS[:4]
FLIPPED = (switch("flip_weights", False),)


def _listed(id: str, label: str, names: tuple[str, ...], defaults: tuple[float, ...], old: bool = False) -> StandIn:
    """Weights one by one: of a ControlNet, or of a T2I adapter, which has four."""
    widgets = (number(name, default, 0.0, 10.0, 0.001) for name, default in zip(names, defaults, strict=True))
    run = partial(_adapter if len(names) == 4 else _numbered, names)
    difference = "flip_weights does nothing, in the pack neither." if old else ""
    inputs = (*widgets, *(FLIPPED if old else ()), *NEGATIVE_AND_EXTRAS)
    return _row(id, label, inputs, WEIGHTS, run, difference=difference)


BASE = (number("base_multiplier", 0.825, 0.0, 1.0, 0.001),)

WEIGHT_NODES = (
    _row("ACN_ScaledSoftControlNetWeights", "Scaled Soft Weights", (*BASE, *NEGATIVE_AND_EXTRAS), WEIGHTS, _soft),
    _row("ScaledSoftControlNetWeights", "Scaled Soft Weights", (*BASE, *FLIPPED, *NEGATIVE_AND_EXTRAS), WEIGHTS, _soft),
    _listed("ACN_SoftControlNetWeightsSD15", "ControlNet Soft Weights [SD1.5]", OUTPUTS, SOFT_SKIPS),
    _listed("ACN_CustomControlNetWeightsSD15", "ControlNet Custom Weights [SD1.5]", OUTPUTS, ONES),
    _listed("SoftControlNetWeights", "ControlNet Soft Weights", OLD_OUTPUTS, SOFT_SKIPS, old=True),
    _listed("CustomControlNetWeights", "ControlNet Custom Weights", OLD_OUTPUTS, ONES, old=True),
    _listed("ACN_SoftT2IAdapterWeights", "T2IAdapter Soft Weights", INPUTS, ADAPTER_SOFT),
    _listed("ACN_CustomT2IAdapterWeights", "T2IAdapter Custom Weights", INPUTS, ONES[:4]),
    _listed("SoftT2IAdapterWeights", "T2IAdapter Soft Weights", OLD_INPUTS, ADAPTER_SOFT, old=True),
    _listed("CustomT2IAdapterWeights", "T2IAdapter Custom Weights", OLD_INPUTS, ONES[:4], old=True),
    _row("ACN_DefaultUniversalWeights", "Default Weights", NEGATIVE_AND_EXTRAS[1:], WEIGHTS,
         lambda **values: _weights(None, values)),
    _row("ACN_ExtrasMiddleMult", "Middle Weight Extras",
         (number("middle_mult", 1.0, 0.0, 10.0, 0.001), NEGATIVE_AND_EXTRAS[1]), (("CN_WEIGHTS_EXTRAS", "cn_extras"),),
         _middle),
)  # fmt: skip


# Keyframes


def _keyframe(start_percent: float, guarantee_steps: int, prev_timestep_kf: Any, strength: float, **values: Any) -> Any:
    if guarantee_steps > 1:
        raise ValueError(
            f"guarantee_steps is {guarantee_steps}; keyframes of ZeroConv act from their start on. Set it to 1, and "
            "start_percent of the next keyframe later."
        )
    return with_keyframes(prev_timestep_kf, _filled(start_percent, strength, values))


def _filled(start: float, strength: float, values: dict[str, Any]) -> TimestepKeyframe:
    return TimestepKeyframe(
        float(start),
        float(strength),
        values["cn_weights"],
        values["latent_keyframe"],
        values["null_latent_kf_strength"],
        values["inherit_missing"],
        values["mask_optional"],
    )


def _keyframes_between(
    start_percent: float,
    end_percent: float,
    strength_start: float,
    strength_end: float,
    interpolation: Easing,
    intervals: int,
    prev_timestep_kf: Any,
    **values: Any,
) -> Any:
    strengths = between(strength_start, strength_end, intervals, interpolation)
    starts = between(start_percent, end_percent, intervals, "linear")
    added = (_filled(*pair, values) for pair in zip(starts, strengths, strict=True))
    return with_keyframes(prev_timestep_kf, *added)


def _keyframes_from_list(
    float_strengths: Any, start_percent: float, end_percent: float, prev_timestep_kf: Any, **values: Any
) -> Any:
    strengths = _list(float_strengths)
    starts = between(start_percent, end_percent, len(strengths), "linear")
    added = (_filled(*pair, values) for pair in zip(starts, strengths, strict=True))
    return with_keyframes(prev_timestep_kf, *added)


def _list(strengths: Any) -> list[float]:
    return [float(strengths)] if isinstance(strengths, int | float) else [float(value) for value in strengths]


def _latent(batch_index: int, strength: float, prev_latent_kf: LatentKeyframes | None) -> LatentKeyframes:
    """A keyframe of the same item is replaced."""
    before = prev_latent_kf or LatentKeyframes()
    return before.over(LatentKeyframes({batch_index: strength}))


def _latents_between(
    batch_index_from: int,
    batch_index_to_excl: int,
    strength_from: float,
    strength_to: float,
    interpolation: Easing,
    prev_latent_kf: LatentKeyframes | None,
    print_keyframes: bool,
) -> LatentKeyframes:
    items = range(batch_index_from, batch_index_to_excl)
    if batch_index_from > batch_index_to_excl or batch_index_from < 0 <= batch_index_to_excl:
        raise ValueError(
            f"batch_index_from is {batch_index_from} and batch_index_to_excl {batch_index_to_excl}; the second must "
            "not be smaller, and both must count from the same end."
        )
    strengths = between(strength_from, strength_to, len(items), interpolation)
    return LatentKeyframes(dict(zip(items, strengths, strict=True))).over(prev_latent_kf)


def _latents_from_list(
    float_strengths: Any, prev_latent_kf: LatentKeyframes | None, print_keyframes: bool
) -> LatentKeyframes:
    """A single number, and not a list, adds none."""
    listed = {} if isinstance(float_strengths, int | float) else dict(enumerate(_list(float_strengths)))
    return LatentKeyframes(listed).over(prev_latent_kf)


def _latents_from_text(
    index_strengths: str,
    prev_latent_kf: LatentKeyframes | None,
    latent_optional: dict[str, Any] | None,
    print_keyframes: bool,
) -> LatentKeyframes:
    count = None if latent_optional is None else latent_optional["samples"].shape[0]
    return parse_latent_keyframes(index_strengths, count).over(prev_latent_kf)


START, END = STRENGTH_AND_RANGE[1:]
BEFORE = (_optional("prev_timestep_kf", "TIMESTEP_KEYFRAME"),)
HELD = (_optional("cn_weights", "CONTROL_NET_WEIGHTS"), _optional("latent_keyframe", "LATENT_KEYFRAME"))
INHERITED = (number("null_latent_kf_strength", 0.0, 0.0, 10.0, 0.001, optional=True),)
INHERITED += (switch("inherit_missing", True, optional=True),)
MASK, PRINTED = _optional("mask_optional", "MASK"), switch("print_keyframes", False, optional=True)
LATENT_BEFORE = _optional("prev_latent_kf", "LATENT_KEYFRAME")
STRENGTHS = Input("float_strengths", "FLOAT", -1, minimum=-1, step=0.001)
ITEM = partial(whole, default=0, low=-FARTHEST, high=FARTHEST)

KEYFRAME_NODES = (
    _row("TimestepKeyframe", "Timestep Keyframe",
         (START, *BEFORE, number("strength", 1.0, 0.0, 10.0, 0.001, optional=True), *HELD, *INHERITED,
          whole("guarantee_steps", 1, 0, FARTHEST, optional=True), MASK), KEYFRAMES, _keyframe,
         difference=SINGLE_STEPS),
    _row("ACN_TimestepKeyframeInterpolation", "Timestep Keyframe Interp.",
         (START, END, number("strength_start", 1.0, 0.0, 10.0, 0.001), number("strength_end", 1.0, 0.0, 10.0, 0.001),
          choice("interpolation", *EASINGS), whole("intervals", 50, 2, 100), *BEFORE, *HELD, *INHERITED, MASK, PRINTED),
         KEYFRAMES, _keyframes_between, difference=SINGLE_STEPS),
    _row("ACN_TimestepKeyframeFromStrengthList", "Timestep Keyframe From List",
         (STRENGTHS, START, END, *BEFORE, *HELD, *INHERITED, MASK, PRINTED), KEYFRAMES, _keyframes_from_list,
         difference=SINGLE_STEPS),
    _row("LatentKeyframe", "Latent Keyframe", (ITEM("batch_index"), number("strength", 1.0, 0.0, 10.0, 0.001),
         LATENT_BEFORE), LATENTS, _latent),
    _row("LatentKeyframeTiming", "Latent Keyframe Interp.",
         (ITEM("batch_index_from"), ITEM("batch_index_to_excl"), number("strength_from", 1.0, 0.0, 10.0, 0.001),
          number("strength_to", 1.0, 0.0, 10.0, 0.001), choice("interpolation", *EASINGS), LATENT_BEFORE, PRINTED),
         LATENTS, _latents_between),
    _row("LatentKeyframeBatchedGroup", "Latent Keyframe From List", (STRENGTHS, LATENT_BEFORE, PRINTED), LATENTS,
         _latents_from_list),
    _row("LatentKeyframeGroup", "Latent Keyframe Group",
         (Input("index_strengths", "STRING", ""), LATENT_BEFORE, _optional("latent_optional", "LATENT"), PRINTED),
         LATENTS,
         _latents_from_text),
)  # fmt: skip

CONTROLNETS = (*LOADERS, *APPLIERS, *WEIGHT_NODES, *KEYFRAME_NODES)

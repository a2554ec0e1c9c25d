"""Advanced-ControlNet's weights over the depth of a network."""

from functools import partial
from typing import Any

from ....controlnet.strength.block_weights import BlockWeights, Listed, MiddleTimes, Numbered, Soft, Uniform
from ..keyframes import ControlWeights, TimestepKeyframe
from ..row import StandIn, number, socket, switch
from .rows import WEIGHTS, optional, row


def _weights(blocks: BlockWeights | None, values: dict[str, Any], has_middle: bool = True) -> tuple[Any, ...]:
    """Weights, and a keyframe that has them from the beginning."""
    extras = values["cn_extras"] or {}
    middle = extras.get("middle_mult", 1.0)
    if middle != 1 and has_middle:
        blocks = MiddleTimes(blocks or Uniform(), middle)
    weights = ControlWeights(blocks, values.get("uncond_multiplier", 1.0), extras.get("inpaint_mask"))
    return weights, (TimestepKeyframe(weights=weights),)


def _soft(base_multiplier: float, **values: Any) -> tuple[Any, ...]:
    return _weights(Soft(base_multiplier), values)


def _numbered(names: tuple[str, ...], **values: Any) -> tuple[Any, ...]:
    *skips, middle = (values[name] for name in names)
    return _weights(Numbered(tuple(skips), middle), values)


def _adapter(names: tuple[str, ...], **values: Any) -> tuple[Any, ...]:
    return _weights(Listed(tuple(values[name] for name in names)), values, has_middle=False)


def _anima(**values: Any) -> tuple[Any, ...]:
    return _weights(Listed(tuple(values[name] for name in ANIMA_BLOCKS)), values, has_middle=False)


def _extras(cn_extras: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    """What weights take beside factors, of this node and those before it."""
    return {**(cn_extras or {}), **more}


NEGATIVE_AND_EXTRAS = (
    number("uncond_multiplier", 1.0, 0.0, 1.0, optional=True),
    optional("cn_extras", "CN_WEIGHTS_EXTRAS"),
)
SOFT_SKIPS = tuple(Soft().factors(13))
ONES = (1.0,) * 13
ADAPTER_SOFT = (0.25, 0.62, 0.825, 1.0)
OUTPUTS = (*(f"output_{number}" for number in range(12)), "middle_0")
OLD_OUTPUTS = tuple(f"weight_{number:02}" for number in range(13))
INPUTS = tuple(f"input_{number}" for number in range(4))
OLD_INPUTS = OLD_OUTPUTS[:4]
ANIMA_BLOCKS = tuple(f"block_{number}" for number in range(28))
EXTRAS = (("CN_WEIGHTS_EXTRAS", "cn_extras"),)
FLIPPED = (switch("flip_weights", False),)


def _listed(id: str, label: str, names: tuple[str, ...], defaults: tuple[float, ...], old: bool = False) -> StandIn:
    """Weights one by one: of a ControlNet, or of a T2I adapter, which has four."""
    widgets = (number(name, default, 0.0, 10.0, 0.001) for name, default in zip(names, defaults, strict=True))
    run = partial(_adapter if len(names) == 4 else _numbered, names)
    difference = "flip_weights does nothing, in the pack neither." if old else ""
    inputs = (*widgets, *(FLIPPED if old else ()), *NEGATIVE_AND_EXTRAS)
    return row(id, label, inputs, WEIGHTS, run, difference=difference)


BASE = (number("base_multiplier", 0.825, 0.0, 1.0, 0.001),)

WEIGHT_NODES = (
    row("ACN_ScaledSoftControlNetWeights", "Scaled Soft Weights", (*BASE, *NEGATIVE_AND_EXTRAS), WEIGHTS, _soft),
    row("ScaledSoftControlNetWeights", "Scaled Soft Weights", (*BASE, *FLIPPED, *NEGATIVE_AND_EXTRAS), WEIGHTS, _soft),
    _listed("ACN_SoftControlNetWeightsSD15", "ControlNet Soft Weights [SD1.5]", OUTPUTS, SOFT_SKIPS),
    _listed("ACN_CustomControlNetWeightsSD15", "ControlNet Custom Weights [SD1.5]", OUTPUTS, ONES),
    _listed("SoftControlNetWeights", "ControlNet Soft Weights", OLD_OUTPUTS, SOFT_SKIPS, old=True),
    _listed("CustomControlNetWeights", "ControlNet Custom Weights", OLD_OUTPUTS, ONES, old=True),
    _listed("ACN_SoftT2IAdapterWeights", "T2IAdapter Soft Weights", INPUTS, ADAPTER_SOFT),
    _listed("ACN_CustomT2IAdapterWeights", "T2IAdapter Custom Weights", INPUTS, ONES[:4]),
    _listed("SoftT2IAdapterWeights", "T2IAdapter Soft Weights", OLD_INPUTS, ADAPTER_SOFT, old=True),
    _listed("CustomT2IAdapterWeights", "T2IAdapter Custom Weights", OLD_INPUTS, ONES[:4], old=True),
    row("ACN_DefaultUniversalWeights", "Default Weights", NEGATIVE_AND_EXTRAS[1:], WEIGHTS,
         lambda **values: _weights(None, values)),
    row("ACN_ExtrasMiddleMult", "Middle Weight Extras",
         (number("middle_mult", 1.0, 0.0, 10.0, 0.001), NEGATIVE_AND_EXTRAS[1]), EXTRAS, _extras),
    row("ACN_CustomControlNetWeightsAnima", "ControlNet Custom Weights [Anima]",
         (*(number(name, 1.0, 0.0, 10.0, 0.001) for name in ANIMA_BLOCKS), *NEGATIVE_AND_EXTRAS), WEIGHTS, _anima),
    row("ACN_AnimaLLLiteExtras", "Anima LLLite Extras", (socket("inpaint_mask", "MASK"), NEGATIVE_AND_EXTRAS[1]),
         EXTRAS, _extras),
)  # fmt: skip

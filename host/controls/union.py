"""Tell union ControlNets, ours and the host's, what their hints show."""

from typing import Any

from torch import Tensor

from ...controlnet.formats.comfy_controlnet import FLUX_UNION_TYPES
from ...controlnet.hint.image import as_rgb_hint
from ...controlnet.networks.union import UNION_TYPES, UnionHint
from .comfy_controlnet import ComfyControlNetRunner
from .control import Control

SAME_HINTS = {"openpose": "pose", "pose": "openpose", "lines": "canny", "canny": "lines"}
"""Kinds that networks of two families name in two ways."""

TYPE_NAMES = (*UNION_TYPES, *(name for name in FLUX_UNION_TYPES if name not in UNION_TYPES))
"""Names of all kinds of hint, of whatever family."""


def set_union_type(control: Any, kind: str) -> Any:
    """A copy of the control with the type of its hint set, by the order of its own family; `auto` gives no type.

    Raises ValueError when the network is not a union network or lacks the kind.
    """
    number = [] if kind == "auto" else [type_number(kind, _types(control))]
    twin = control.copy()
    twin.set_extra_arg("control_type", number)
    return twin


def add_union_hint(control: Any, kind: str, image: Tensor, strength: float) -> Control:
    """A copy of the control with one more hint. image: BHWC, 0..1.

    Raises ValueError for a control that is not ours, is not a union network, or has no type for its first hint.
    """
    if not isinstance(control, Control):
        raise ValueError("Several hints at once need a ControlNet from ControlNet Load.")
    if isinstance(control.runner, ComfyControlNetRunner):
        raise ValueError(
            f"'{control.name}' ({control.runner.family}) takes one hint at a time. Chain two ControlNet Apply instead."
        )
    number = type_number(kind, _types(control))
    if not control.union_types:
        raise ValueError("Set the type of the first hint with Set Union ControlNet Type, then add more hints.")
    hint = UnionHint(as_rgb_hint(image.movedim(-1, 1)), number, strength)
    return control.with_settings(union_hints=(*control.settings.union_hints, hint))


def type_number(kind: str, types: tuple[str, ...]) -> int:
    """The number of a kind of hint in a network that knows these. Raises ValueError that names them."""
    name = kind if kind in types else SAME_HINTS.get(kind, kind)
    if name not in types:
        raise ValueError(f"This union ControlNet does not know the type '{kind}'. It knows: {', '.join(types)}.")
    return types.index(name)


def _types(control: Any) -> tuple[str, ...]:
    """Kinds of hint that a control knows, by number. Raises ValueError for a network that knows one kind."""
    if isinstance(control, Control):
        types, family = control.runner.union_types, control.runner.family
    else:
        # Core's own control: only its Flux networks tell how many kinds they know.
        modes = getattr(getattr(control, "control_model", None), "num_union_modes", None)
        types, family = UNION_TYPES if modes is None else FLUX_UNION_TYPES[:modes], "Flux"
    if not types:
        raise ValueError(
            f"This ControlNet ({family}) is made for one kind of hint; it has no union types. "
            "Wire it to ControlNet Apply directly."
        )
    return types

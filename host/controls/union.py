"""Tell union ControlNets, ours and the host's, what their hints show."""

from typing import Any

from torch import Tensor

from ...controlnet.formats.comfy_controlnet import FLUX_UNION_TYPES
from ...controlnet.networks.union import UNION_TYPES, UnionControlNet, UnionHint
from ..conditioning import hint_from_image
from .comfy_controlnet import WrappedControl
from .control import ShapedControl
from .controlnet import ZeroConvControl

SAME_HINTS = {"openpose": "pose", "pose": "openpose", "lines": "canny", "canny": "lines"}
"""Kinds that networks of two families name in two ways."""

TYPE_NAMES = (*UNION_TYPES, *(name for name in FLUX_UNION_TYPES if name not in UNION_TYPES))
"""Names of all kinds of hint, of whatever family."""


def set_union_type(control: Any, kind: str) -> Any:
    """A copy of the control that is told the kind of its hint, by the order of its own family; `auto` tells nothing.

    Raises ValueError when the network is no union network or lacks the kind.
    """
    number = [] if kind == "auto" else [type_number(kind, _types(control))]
    twin = control.copy()
    twin.set_extra_arg("control_type", number)
    return twin


def add_union_hint(control: Any, kind: str, image: Tensor, strength: float) -> ZeroConvControl:
    """A copy of the control with one more hint. image: BHWC, 0..1.

    Raises ValueError for a control that is not ours, no union network, or without a type for its first hint.
    """
    if isinstance(control, WrappedControl):
        raise ValueError(
            f"'{control.name}' ({control.found.family}) takes one hint at a time. Chain two Apply ControlNet instead."
        )
    if not isinstance(control, ZeroConvControl):
        raise ValueError("Several hints at once need a ControlNet from Load ControlNet (ZeroConv).")
    number = type_number(kind, _types(control))
    if not control.union_types:
        raise ValueError("Set the type of the first hint with Set Union ControlNet Type, then add more hints.")
    twin = control.copy()
    twin.union_hints = (*twin.union_hints, UnionHint(hint_from_image(image), number, strength))
    return twin


def type_number(kind: str, types: tuple[str, ...]) -> int:
    """The number of a kind of hint in a network that knows these. Raises ValueError that names them."""
    name = kind if kind in types else SAME_HINTS.get(kind, kind)
    if name not in types:
        raise ValueError(f"This union ControlNet does not know the type '{kind}'. It knows: {', '.join(types)}.")
    return types.index(name)


def _types(control: Any) -> tuple[str, ...]:
    """Kinds of hint that a control knows, by number. Raises ValueError for a network that knows one kind."""
    if isinstance(control, ZeroConvControl):
        network, family = control.loaded.network, control.loaded.network.dims.family
        types = UNION_TYPES[: network.dims.union_types or 0] if isinstance(network, UnionControlNet) else ()
    elif isinstance(control, WrappedControl):
        types, family = control.union_types, control.found.family
    elif isinstance(control, ShapedControl):
        types, family = (), control.name
    else:
        # Core's own control: only its Flux networks tell how many kinds they know.
        modes = getattr(getattr(control, "control_model", None), "num_union_modes", None)
        types, family = UNION_TYPES if modes is None else FLUX_UNION_TYPES[:modes], "Flux"
    if not types:
        raise ValueError(
            f"This ControlNet ({family}) is made for one kind of hint; it has no union types. "
            "Wire it to Apply ControlNet directly."
        )
    return types

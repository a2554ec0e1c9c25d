"""Tell union ControlNets, ours and the host's, what their hints show."""

from typing import Any

from torch import Tensor

from ..controlnet.union import UNION_TYPES, UnionControlNet, UnionHint
from .conditioning import hint_from_image
from .control import ZeroConvControl


def set_union_type(control: Any, kind: str) -> Any:
    """A copy of the control that is told the kind of its hint; `auto` tells nothing.

    Raises ValueError when our network is no union network or lacks the kind.
    """
    number = () if kind == "auto" else (UNION_TYPES.index(kind),)
    if isinstance(control, ZeroConvControl):
        network = _union_network(control)
        for value in number:
            network.check_type(value)
    twin = control.copy()
    twin.set_extra_arg("control_type", list(number))
    return twin


def add_union_hint(control: Any, kind: str, image: Tensor, strength: float) -> ZeroConvControl:
    """A copy of the control with one more hint. image: BHWC, 0..1.

    Raises ValueError for a control that is not ours, no union network, or without a type for its first hint.
    """
    if not isinstance(control, ZeroConvControl):
        raise ValueError("Several hints at once need a ControlNet from Load ControlNet (ZeroConv).")
    number = UNION_TYPES.index(kind)
    _union_network(control).check_type(number)
    if not control.union_types:
        raise ValueError("Set the type of the first hint with Set Union ControlNet Type, then add more hints.")
    twin = control.copy()
    twin.union_hints = (*twin.union_hints, UnionHint(hint_from_image(image), number, strength))
    return twin


def _union_network(control: ZeroConvControl) -> UnionControlNet:
    network = control.loaded.network
    if not isinstance(network, UnionControlNet):
        raise ValueError(
            f"This ControlNet ({network.dims.family}) is made for one kind of hint; it has no union types. "
            "Wire it to Apply ControlNet directly."
        )
    return network

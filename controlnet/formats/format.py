"""What a weight format is."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..dimensions import Shapes


@dataclass(frozen=True)
class Format:
    """One way to store a ControlNet.

    recognise: by keys and shapes alone. convert: the tensors in LDM keys without prefix; tensors are passed on, not
    copied; keys that belong to other networks of a whole checkpoint are dropped.
    """

    id: str
    label: str
    recognise: Callable[[Shapes], bool]
    convert: Callable[[dict[str, Tensor]], dict[str, Tensor]]

"""Every stored form of a ControlNet: recognised by keys, described by shapes, loaded into one network."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from ..dimensions import Shapes
from .control_lora import CONTROL_LORA
from .diffusers import DIFFUSERS
from .files import read_state_dict
from .format import Format
from .ldm import LDM

FORMATS: tuple[Format, ...] = (CONTROL_LORA, LDM, DIFFUSERS)

__all__ = ["FORMATS", "Format", "load_ldm_state_dict", "recognise"]


def recognise(shapes: Shapes) -> Format:
    """Find the format of a state dict by its keys and shapes.

    Raises ValueError that says what was seen and what is supported.
    """
    for form in FORMATS:
        if form.recognise(shapes):
            return form
    groups = Counter(key.split(".")[0] for key in shapes)
    seen = ", ".join(f"{name} ({count})" for name, count in groups.most_common(5))
    known = "; ".join(form.label for form in FORMATS)
    raise ValueError(f"This file is no ControlNet that ZeroConv knows. Its tensors begin with: {seen}. Known: {known}.")


def load_ldm_state_dict(path: str | Path, base: Callable[[], Mapping[str, Tensor]] | None = None) -> dict[str, Tensor]:
    """Read a ControlNet file of any known format as tensors in LDM keys.

    base: gives the UNet of the base model in LDM keys; called only for formats that need it.
    Raises ValueError, naming the file, when it is damaged or of an unknown kind.
    """
    tensors = read_state_dict(path)
    try:
        form = recognise({key: tuple(value.shape) for key, value in tensors.items()})
        needed = base is not None and (form.needs_base or "difference" in tensors)
        return form.convert(tensors, base() if base is not None and needed else None)
    except ValueError as error:
        raise ValueError(f"'{Path(path).name}': {error}") from error

"""Every stored form of a control: recognised by keys, described by shapes, loaded into one network."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from ...storage.names import name_of
from ...storage.weights import shapes_of
from ..networks.dimensions import Shapes
from .anima_lllite import ANIMA_LLLITE
from .comfy_controlnet import COMFY_CONTROLNETS
from .control_lora import CONTROL_LORA
from .ctrlora import CTRLORA, CTRLORA_BASE, CTRLORA_FULL
from .diffusers import DIFFUSERS
from .files import not_finite, read_state_dict
from .format import Format
from .known import KNOWN
from .ldm import DIFFERENCE, LDM
from .lllite import LLLITE
from .model_patch import MODEL_PATCHES
from .nearest import nearest
from .sparse_ctrl import SPARSE_CTRL
from .t2i_adapter import T2I_ADAPTER
from .uni3c import UNI3C

Result = TypeVar("Result")
Source = Callable[[], Mapping[str, Tensor]]

OURS = (CONTROL_LORA, LDM, DIFFUSERS, CTRLORA, CTRLORA_FULL, SPARSE_CTRL, T2I_ADAPTER, LLLITE)
FORMATS: tuple[Format, ...] = (*OURS, *COMFY_CONTROLNETS, *MODEL_PATCHES, ANIMA_LLLITE, UNI3C, CTRLORA_BASE, *KNOWN)

__all__ = ["FORMATS", "Format", "load_ldm_state_dict", "load_tensors", "recognise"]


def recognise(shapes: Shapes) -> Format:
    """Find the format of a state dict by its keys and shapes.

    Raises ValueError that says what was seen and what is supported.
    """
    for form in FORMATS:
        if form.recognise(shapes):
            return form
    groups = Counter(key.split(".")[0] for key in shapes)
    seen = ", ".join(f"{name[:60]} ({count})" for name, count in groups.most_common(5))
    known = "; ".join(form.label for form in FORMATS if form.kind)
    raise ValueError(
        f"This file is not a ControlNet that ZeroConv knows. Its tensors begin with: {seen}. "
        f"{nearest(shapes)}Known: {known}."
    )


def load_tensors(
    path: str | Path, base: Source | None = None, controlnet: Source | None = None
) -> tuple[Format, dict[str, Tensor]]:
    """Read a control file of any known format: the format, and the tensors under the names of its network.

    base: gives the UNet of the base model in LDM keys. controlnet: gives the tensors of the file that a CtrLoRA goes
    with. Both are called only for formats that need them. Raises ValueError, naming the file, when it is damaged, of an
    unknown kind, or of one that ZeroConv does not run, or when its weights are NaN or infinite.
    """
    tensors = _named(path, lambda: read_state_dict(path))
    form = _named(path, lambda: recognise(shapes_of(tensors)))
    source = base if form.needs_base or DIFFERENCE in tensors else controlnet if form.needs_controlnet else None
    converted = _named(path, lambda: form.convert(tensors, None if source is None else source()))
    if damage := not_finite(converted.items()):
        raise ValueError(f"{name_of(Path(path))} cannot be used. {damage}")
    return form, converted


def load_ldm_state_dict(path: str | Path, base: Source | None = None) -> dict[str, Tensor]:
    """Read a ControlNet file of any known format as tensors in LDM keys; arguments and errors as `load_tensors`.

    Raises ValueError for a control that is not a ControlNet, such as a T2I-Adapter.
    """
    form, tensors = load_tensors(path, base)
    if form.kind != "controlnet":
        raise ValueError(f"{name_of(Path(path))} is a file of the kind {form.label}; a ControlNet is needed here.")
    return tensors


def _named(path: str | Path, work: Callable[[], Result]) -> Result:
    """Do work on a file; its errors name the file."""
    name = name_of(Path(path))
    try:
        return work()
    except ValueError as error:
        if name in str(error):
            raise
        raise ValueError(f"{name}: {error}") from error

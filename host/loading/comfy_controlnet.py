"""Let the host load a control file of a family that its own networks run, and wrap what it made."""

from typing import Any

import comfy.controlnet
from torch import Tensor

from ...controlnet.formats import recognise
from ...storage.weights import shapes_of
from ..controls.base_model_check import check_base, width_of
from ..controls.comfy_controlnet import WrappedControl
from ..controls.stable_cascade import WrappedCascade


def load_wrapped(tensors: dict[str, Tensor], name: str, model: Any = None) -> WrappedControl:
    """A control from the tensors of a file, under the file's own names.

    model: the host's `BaseModel` to check the family against, or None. Raises ValueError when the host knows no such
    file, or cannot build it, or it is for another family.
    """
    form = recognise(shapes_of(tensors))
    found = form.describe(shapes_of(tensors))
    try:
        inner = comfy.controlnet.load_controlnet_state_dict(dict(tensors))
    except (AttributeError, KeyError, RuntimeError, TypeError) as error:
        raise ValueError(
            f"This {form.label} is damaged or of a new kind: ComfyUI could not build it ({error})."
        ) from error
    if inner is None:
        raise ValueError(f"This file is a {form.label}, which this version of ComfyUI cannot run yet. Update ComfyUI.")
    if model is not None:
        check_base(found.family, width_of(getattr(inner, "control_model", None)), model)
    wrap = WrappedCascade if isinstance(inner, comfy.controlnet.T2IAdapter) else WrappedControl
    return wrap(name, inner, found)

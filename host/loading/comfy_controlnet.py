"""Let the host load a file of a family that its own networks run."""

from collections.abc import Mapping

import comfy.controlnet
from torch import Tensor

from ...controlnet.formats import Format
from ...storage.weights import shapes_of
from ..compat import update_needed
from ..controls.comfy_controlnet import ComfyControlNetRunner


def load_comfy_controlnet(
    runner: type[ComfyControlNetRunner],
    form: Format,
    tensors: dict[str, Tensor],
    name: str,
    metadata: Mapping[str, str],
) -> ComfyControlNetRunner:
    """A runner for the tensors of a file, under the file's own names.

    Raises ValueError when the host knows no such file, or cannot build it.
    """
    try:
        core = comfy.controlnet.load_controlnet_state_dict(dict(tensors))
    except (AttributeError, KeyError, RuntimeError, TypeError) as error:
        raise ValueError(
            f"This {form.label} is damaged or of a new kind: ComfyUI could not build it ({error})."
        ) from error
    if core is None:
        raise ValueError(update_needed(form.label, form.since))
    return runner(name, core, form.describe(shapes_of(tensors)))

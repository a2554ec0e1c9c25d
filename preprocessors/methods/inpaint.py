"""The hint of inpaint ControlNets: the picture with the part to fill marked by a value that no picture has."""

from __future__ import annotations

from torch import Tensor

from ..description import Hint, Inputs, Parameter, Preprocessor

MARKS = {"-1 (ControlNet v1.1 inpaint)": -1.0, "black (xinsir union promax)": 0.0}


def mark_masked(images: Tensor, mask: Tensor, value: float) -> Tensor:
    """BHWC with `value` in all channels where the mask (BHW, 0..1) is above a half.

    Source: ControlNet v1.1 `gradio_inpaint.py` (-255 / 255 = -1).
    """
    return images.masked_fill((mask > 0.5)[..., None], value)


def _run(inputs: Inputs) -> Hint:
    if inputs.mask is None:
        raise ValueError("Inpaint Hint needs a mask: wire one to 'mask' (1 = the part to fill).")
    return Hint(mark_masked(inputs.images, inputs.mask, MARKS[inputs.choice("masked_value")]))


INPAINT = Preprocessor(
    id="inpaint",
    label="Inpaint Hint",
    hint="other",
    description="The picture with the masked part set to -1, which tells an inpaint ControlNet where to fill.",
    run=_run,
    parameters=(
        Parameter(
            "masked_value",
            "Masked value",
            next(iter(MARKS)),
            "What the ControlNet expects in the masked part.",
            choices=tuple(MARKS),
        ),
    ),
    aliases=("InpaintPreprocessor", "inpaint_only", "outpaint"),
    takes_mask=True,
)

"""Residuals of the size that the UNet asks for, where another node resizes the picture inside it.

Kohya Deep Shrink (core's PatchModelAddDownscale) makes the picture smaller behind one of the first blocks. Residuals
of the usual size then do not fit, and core's UNet drops them with a line in its log (`openaimodel.apply_control`). The
sizes are noted while the encoder runs; when the first residual of a skip is taken, all of them are known.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional

from .lazy_residuals import HostResiduals

SIZES_OPTION = "zeroconv_skip_sizes"
BEFORE_SKIP, AFTER_SKIP = "input_block_patch", "input_block_patch_after_skip"
"""The host's patches that may resize: what becomes the skip too, or only what the next block reads."""

Size = tuple[int, int]


class SkipSizes:
    """Height and width of each skip and of the middle in one pass of the UNet, noted by patches behind all others."""

    def __init__(self) -> None:
        self._skips: dict[int, Size] = {}
        self._middle: Size | None = None

    def note_skip(self, h: Tensor, options: Mapping[str, Any]) -> Tensor:
        """A patch that changes nothing. h: (rows, channels, height, width), what becomes the skip of a block."""
        self._skips[options["block"][1]] = self._middle = (h.shape[-2], h.shape[-1])
        return h

    def note_after_skip(self, h: Tensor, options: Mapping[str, Any]) -> Tensor:
        """A patch that changes nothing. h: what the next block reads."""
        self._middle = (h.shape[-2], h.shape[-1])
        return h

    def fit(self, residuals: HostResiduals) -> HostResiduals:
        """The residuals of skips and middle at the noted sizes."""
        output = [_resized(value, self._skips.get(block)) for block, value in enumerate(residuals["output"])]
        middle = [_resized(value, self._middle) for value in residuals["middle"]]
        return {**residuals, "output": output, "middle": middle}


def watch_skips(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with patches that note sizes, where patches of others could change them; else none.

    options: the `transformer_options` of the step.
    """
    patches = options.get("patches", {})
    if not patches.get(BEFORE_SKIP) and not patches.get(AFTER_SKIP):
        return {}
    sizes = SkipSizes()
    watching = {
        **patches,
        BEFORE_SKIP: [*patches.get(BEFORE_SKIP, ()), sizes.note_skip],
        AFTER_SKIP: [*patches.get(AFTER_SKIP, ()), sizes.note_after_skip],
    }
    return {"patches": watching, SIZES_OPTION: sizes}


def _resized(residual: Tensor | None, size: Size | None) -> Tensor | None:
    if residual is None or size is None or tuple(residual.shape[-2:]) == size:
        return residual
    return functional.interpolate(residual, size, mode="bilinear", antialias=True)

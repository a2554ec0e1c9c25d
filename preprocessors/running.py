"""Run a preprocessor on images of any size: in chunks of the batch, at a resolution, with the padding hidden."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from . import sizes
from .description import Networks, Preprocessor, Settings


def do_nothing(done: int, total: int) -> None:
    """The progress report of a caller that wants none."""


@dataclass(frozen=True)
class Options:
    """How a run is done, the same for every method.

    resolution: of the shorter side in pixels, 0 for the image's own. result_size: "processing" or "input".
    mask: BHW or HW 0..1 at any size, for methods that take one; 1 is masked.
    chunk: the most images at a time. progress: called with (images done, images in all) before, between and
    after chunks; it may raise to stop.
    """

    resolution: int = 0
    result_size: sizes.ResultSize = "processing"
    mask: Tensor | None = None
    chunk: int = 1
    progress: Callable[[int, int], None] = do_nothing


def preprocess(
    preprocessor: Preprocessor,
    image: Tensor,
    networks: Networks,
    settings: Settings | None = None,
    options: Options | None = None,
) -> Tensor:
    """The hints of a batch: BHWC float32 with 3 channels, as `preprocess_with_labels` without the labels."""
    return preprocess_with_labels(preprocessor, image, networks, settings, options)[0]


def preprocess_with_labels(
    preprocessor: Preprocessor,
    image: Tensor,
    networks: Networks,
    settings: Settings | None = None,
    options: Options | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The hints of a batch, and the class of every pixel from methods with `gives_labels`.

    image: BHWC 0..1 with 1, 3 or 4 channels. Returns BHWC float32 on the CPU, 0..1 (the inpaint hint also -1), and
    BHW, class / 255, of the same size: saved as an 8-bit picture, its grey levels are the classes.
    A chunk for which the device has not enough memory is tried again as two halves.
    Raises ValueError for an image, a setting, a mask or a size that cannot be used.
    """
    options = options or Options()
    values = preprocessor.settings(settings)
    height, width = image.shape[1:3]
    frame = sizes.Frame.plan(height, width, options.resolution, preprocessor.multiple_of)
    mask = _mask_for(preprocessor, image, options.mask)
    total, chunk, start = image.shape[0], max(1, options.chunk), 0
    hints: Tensor | None = None
    while start < total:
        options.progress(start, total)
        part = slice(start, start + chunk)
        prepared = _prepare(image[part], None if mask is None else mask[part], frame)
        try:
            hint = _run(preprocessor, prepared, values, networks, frame)
        except torch.cuda.OutOfMemoryError:
            if prepared.shape[0] == 1:
                raise
            chunk = prepared.shape[0] // 2
            continue
        if options.result_size == "input":
            hint = sizes.resize_hint(hint, frame.given, preprocessor.hint)
        if prepared.shape[0] == total:
            hints = hint
            break
        hints = hint.new_empty((total, *hint.shape[1:])) if hints is None else hints
        hints[part] = hint
        start += prepared.shape[0]
    options.progress(total, total)
    if hints is None:
        raise ValueError("The image batch is empty.")
    return hints[..., :3], hints[..., 3] if preprocessor.gives_labels else None


def _prepare(image: Tensor, mask: Tensor | None, frame: sizes.Frame) -> Tensor:
    """BHWC at the padded working size; with a mask as the fourth channel where there is one."""
    rgb = sizes.resize(sizes.as_rgb_on_white(image), frame.working)
    if mask is not None:
        alpha = sizes.resize(mask.float().clamp(0, 1)[..., None], frame.working)
        rgb = torch.cat([rgb, alpha.to(rgb.device)], dim=-1)
    return sizes.pad(rgb, frame.padded)


def _run(
    preprocessor: Preprocessor, prepared: Tensor, values: Settings, networks: Networks, frame: sizes.Frame
) -> Tensor:
    with torch.inference_mode():
        hint = preprocessor.run(prepared, values, networks)
    if hint.shape[0] != prepared.shape[0]:
        raise ValueError(f"{preprocessor.label} gave {hint.shape[0]} hints for {prepared.shape[0]} images.")
    return sizes.crop(hint, frame).to(device="cpu", dtype=torch.float32)


def _mask_for(preprocessor: Preprocessor, image: Tensor, mask: Tensor | None) -> Tensor | None:
    if not preprocessor.takes_mask:
        return None
    if mask is None:
        raise ValueError(f"{preprocessor.label} needs a mask: wire one to 'mask' (1 = the part to fill).")
    mask = mask[None] if mask.ndim == 2 else mask
    if mask.ndim != 3 or mask.shape[0] not in (1, image.shape[0]):
        raise ValueError(
            f"The mask is {tuple(mask.shape)}; expected (1 or {image.shape[0]}, height, width), one for each image."
        )
    return mask.expand(image.shape[0], -1, -1)

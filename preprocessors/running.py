"""Run a preprocessor on images of any size: in chunks of the batch, at a resolution, with the padding hidden."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import sizes
from .cancel import run_cancellable
from .description import Hint, InBytes, Inputs, Networks, Preprocessor, Settings
from .pixels import rounded_bytes
from .pose.keypoints import PoseFrame

if TYPE_CHECKING:
    import numpy as np


def do_nothing(done: int, total: int) -> None:
    """The progress report of a caller that wants none."""


@dataclass(frozen=True)
class Options:
    """How a run is done, the same for every method.

    resolution: of the shorter side in pixels, 0 for the image's own. result_size: "processing" or "input".
    mask: BHW or HW 0..1 at any size, for methods that take one; 1 is masked.
    chunk: the most images at a time. progress: called with (images done, images in all) before, between and
    after chunks, and again while a chunk takes long; it may raise to stop.
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
) -> Hint:
    """The hints of a batch of images.

    image: BHWC 0..1 with 1, 3 or 4 channels. Returns tensors on the CPU; labels and the canvases of poses have the
    size of the hint's image.
    A chunk for which the device has not enough memory is tried again as two halves.
    Raises ValueError for an image, a setting, a mask or a size that cannot be used.
    """
    options = options or Options()
    image = image.detach()
    values = preprocessor.settings(settings)
    height, width = image.shape[1:3]
    frame = sizes.Frame.plan(height, width, options.resolution, preprocessor.multiple_of)
    mask = _mask_for(preprocessor, image, options.mask)
    total, chunk = image.shape[0], max(1, options.chunk)
    collected = _Collected(total)
    while collected.count < total:
        options.progress(collected.count, total)
        part = slice(collected.count, collected.count + chunk)
        inputs = _prepare(image[part], None if mask is None else mask[part], frame, values, networks)
        try:
            hint = _run(preprocessor, inputs, frame, partial(options.progress, collected.count, total))
        except torch.cuda.OutOfMemoryError:
            if inputs.images.shape[0] == 1:
                raise
            chunk = inputs.images.shape[0] // 2
            continue
        collected.add(_resized(hint, frame.given, preprocessor.hint) if options.result_size == "input" else hint)
    options.progress(total, total)
    return _with_canvases(collected.hint())


def preprocess_bytes(
    preprocessor: Preprocessor, method: InBytes, rgb: np.ndarray, settings: Settings, options: Options
) -> np.ndarray:
    """The hint of one picture, bit for bit that of `preprocess` in 8 bits, without floats where no size changes.

    method: `Preprocessor.in_bytes`. rgb: (H, W, 3) uint8. settings: complete. Returns (H, W) or (H, W, 3) uint8.
    """
    frame = sizes.Frame.plan(rgb.shape[0], rgb.shape[1], options.resolution, preprocessor.multiple_of)
    if frame.working != frame.given:
        resized = sizes.resize(torch.from_numpy(rgb.astype("float32") / 255)[None], frame.working)
        rgb = rounded_bytes(resized[0].numpy())
    hint = method(settings)(rgb)
    if options.result_size == "input" and hint.shape[:2] != frame.given:
        image = torch.from_numpy(hint if hint.ndim == 3 else hint[..., None].repeat(3, 2))[None]
        image = image.float() / 255 if image.dtype == torch.uint8 else image
        return to_bytes(sizes.resize_hint(image, frame.given, preprocessor.hint)[0])
    return to_bytes(torch.from_numpy(hint))


def to_bytes(hint: Tensor) -> np.ndarray:
    """A hint, 0..1 in floats or bytes as they are, as uint8 of the same shape."""
    return (hint if hint.dtype == torch.uint8 else hint.clamp(0, 1).mul(255).round().byte()).numpy()


class _Collected:
    """The hints of chunks as one batch, in memory that is allocated once."""

    def __init__(self, total: int) -> None:
        self.count = 0
        self._total = total
        self._hint: Hint | None = None

    def add(self, part: Hint) -> None:
        """Put the hints of the next images into their places."""
        start, self.count = self.count, self.count + part.image.shape[0]
        if self.count == self._total and start == 0:
            self._hint = part
            return
        if self._hint is None:
            labels = None if part.labels is None else self._room_for(part.labels)
            self._hint = Hint(self._room_for(part.image), labels, None if part.poses is None else [])
        self._hint.image[start : self.count] = part.image
        if self._hint.labels is not None and part.labels is not None:
            self._hint.labels[start : self.count] = part.labels
        if self._hint.poses is not None and part.poses is not None:
            self._hint.poses.extend(part.poses)

    def _room_for(self, part: Tensor) -> Tensor:
        return part.new_empty((self._total, *part.shape[1:]))

    def hint(self) -> Hint:
        """All of them. Raises ValueError where there was no image."""
        if self._hint is None:
            raise ValueError("The image batch is empty.")
        return self._hint


def _prepare(image: Tensor, mask: Tensor | None, frame: sizes.Frame, settings: Settings, networks: Networks) -> Inputs:
    """Images and mask at the padded working size."""
    rgb = sizes.pad(sizes.resize(sizes.as_rgb_on_white(image), frame.working), frame.padded)
    if mask is not None:
        fitted = sizes.resize(mask.float().clamp(0, 1)[..., None], frame.working)
        mask = sizes.pad(fitted, frame.padded)[..., 0].to(rgb.device)
    return Inputs(rgb, settings, networks, mask)


def _run(preprocessor: Preprocessor, inputs: Inputs, frame: sizes.Frame, check: Callable[[], None]) -> Hint:
    """The hints without the padding, on the CPU.

    check: raises when the user cancels. Networks are stopped between their layers by who made them; other methods are
    left alone in the middle.
    """

    def run() -> Hint:
        with torch.inference_mode():
            return preprocessor.run(inputs)

    hint = run() if preprocessor.weights else run_cancellable(run, check)
    count, wanted = hint.image.shape[0], inputs.images.shape[0]
    if count != wanted:
        raise ValueError(f"{preprocessor.label} gave {count} hints for {wanted} images.")
    image = sizes.crop(hint.image, frame).to(device="cpu", dtype=torch.float32)
    labels = None if hint.labels is None else sizes.crop(hint.labels, frame).cpu()
    return Hint(image, labels, hint.poses)


def _resized(hint: Hint, size: tuple[int, int], kind: str) -> Hint:
    """All of a hint at another size, (height, width) in pixels. kind: the preprocessor's `hint`."""
    labels = hint.labels
    if labels is not None:
        labels = sizes.resize_hint(labels[..., None].float(), size, kind)[..., 0].long()
    return Hint(sizes.resize_hint(hint.image, size, kind), labels, hint.poses)


def _with_canvases(hint: Hint) -> Hint:
    """Poses, whose points are fractions of their canvas, on a canvas of the size of the hint's image."""
    if hint.poses is None:
        return hint
    height, width = hint.image.shape[1:3]
    return replace(hint, poses=[PoseFrame(height, width, frame.poses) for frame in hint.poses])


def _mask_for(preprocessor: Preprocessor, image: Tensor, mask: Tensor | None) -> Tensor | None:
    if not preprocessor.takes_mask:
        return None
    if mask is None:
        raise ValueError(f"{preprocessor.label} needs a mask: wire one to 'mask' (1 = the part to fill).")
    mask = mask.detach()[None] if mask.ndim == 2 else mask.detach()
    if mask.ndim != 3 or mask.shape[0] not in (1, image.shape[0]):
        raise ValueError(
            f"The mask is {tuple(mask.shape)}; expected (1 or {image.shape[0]}, height, width), one for each image."
        )
    return mask.expand(image.shape[0], -1, -1)

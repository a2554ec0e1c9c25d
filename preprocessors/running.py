"""Run a preprocessor on images of any size: in chunks of the batch, at a resolution, with the padding hidden."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from . import sizes
from .cancel import run_cancellable
from .collecting import CollectedHints, Rows
from .depth_maps import check_finite, depth_limits
from .description import DepthKind, Hint, InBytes, Inputs, Networks, Preprocessor, Settings
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
    height, width = image.shape[1:3]
    work = _Work(
        preprocessor,
        preprocessor.settings(settings),
        networks,
        sizes.Frame.plan(height, width, options.resolution, preprocessor.multiple_of),
        options,
    )
    mask = _mask_for(preprocessor, image, options.mask)
    if preprocessor.depth is not None:
        return work.depth_hint(image, preprocessor.depth)
    collected = CollectedHints(image.shape[0])
    for hint in work.chunks(image, mask):
        collected.add(work.resized(cast(Hint, hint)))
    options.progress(image.shape[0], image.shape[0])
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


@dataclass(frozen=True)
class _Work:
    """One call of `preprocess`: a method with all that it needs but the images."""

    preprocessor: Preprocessor
    settings: Settings
    networks: Networks
    frame: sizes.Frame
    options: Options

    def chunks(self, image: Tensor, mask: Tensor | None) -> Iterator[Hint | Tensor]:
        """The method's results for one chunk of the batch after the other, without padding, on the CPU."""
        done, total, chunk = 0, image.shape[0], max(1, self.options.chunk)
        while done < total:
            self.options.progress(done, total)
            part = slice(done, done + chunk)
            inputs = self._prepare(image[part], None if mask is None else mask[part])
            count = inputs.images.shape[0]
            try:
                result = _run(self.preprocessor, inputs, self.frame, partial(self.options.progress, done, total))
            except torch.cuda.OutOfMemoryError:
                if count == 1:
                    raise
                chunk = count // 2
                continue
            done += count
            yield result

    def _prepare(self, image: Tensor, mask: Tensor | None) -> Inputs:
        """Images and mask at the padded working size."""
        working, padded = self.frame.working, self.frame.padded
        rgb = sizes.pad(sizes.resize(sizes.as_rgb_on_white(image), working), padded)
        if mask is not None:
            fitted = sizes.resize(mask.float().clamp(0, 1)[..., None], working)
            mask = sizes.pad(fitted, padded)[..., 0].to(rgb.device)
        return Inputs(rgb, self.settings, self.networks, mask)

    def resized(self, hint: Hint) -> Hint:
        """A hint at the size that the options ask for."""
        if self.options.result_size != "input":
            return hint
        size, kind = self.frame.given, self.preprocessor.hint
        labels, depth = hint.labels, hint.depth
        if labels is not None:
            labels = sizes.resize_hint(labels[..., None].float(), size, kind)[..., 0].long()
        if depth is not None:
            depth = sizes.resize_hint(depth[..., None], size, kind)[..., 0]
        return Hint(sizes.resize_hint(hint.image, size, kind), labels, hint.poses, depth)

    def depth_hint(self, image: Tensor, kind: DepthKind) -> Hint:
        """The hints of a method that gives raw depth: the limits of black and white may be those of all pictures."""
        total = image.shape[0]
        rows = Rows(total)
        for part in self.chunks(image, None):
            check_finite(cast(Tensor, part))
            rows.add(cast(Tensor, part))
        raw = rows.whole()
        limits = depth_limits(raw, kind, self.settings)
        collected, invert = CollectedHints(total), bool(self.settings["invert"])
        for index in range(total):
            self.options.progress(total, total)
            one = raw[index : index + 1]
            grey = sizes.enlarge_smoothly(limits.of_picture(index).apply(one, invert), self.frame.working).clamp(0, 1)
            depth = sizes.enlarge_smoothly(one, self.frame.working)
            collected.add(self.resized(Hint(grey[..., None].expand(-1, -1, -1, 3), depth=depth)))
        self.options.progress(total, total)
        return collected.hint()


def _run(preprocessor: Preprocessor, inputs: Inputs, frame: sizes.Frame, check: Callable[[], None]) -> Hint | Tensor:
    """The hints, or the raw depth, without the padding, on the CPU.

    check: raises when the user cancels. Networks are stopped between their layers by who made them; other methods are
    left alone in the middle.
    """

    def run() -> Hint | Tensor:
        with torch.inference_mode():
            return preprocessor.run(inputs)

    result = run() if preprocessor.weights else run_cancellable(run, check)
    image = result if isinstance(result, Tensor) else result.image
    count, wanted = image.shape[0], inputs.images.shape[0]
    if count != wanted:
        raise ValueError(f"{preprocessor.label} gave {count} hints for {wanted} images.")
    image = sizes.crop(image, frame).to(device="cpu", dtype=torch.float32)
    if isinstance(result, Tensor):
        return image
    labels = None if result.labels is None else sizes.crop(result.labels, frame).cpu()
    return Hint(image, labels, result.poses)


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

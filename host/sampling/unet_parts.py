"""Parts of the host's UNet: its outer blocks alone, or its decoder alone, with everything that nodes hang on them.

Follows `UNetModel._forward` of ComfyUI (0.3.75 to 0.33), which runs all blocks or none. The patches of other nodes
(FreeU, IP-Adapter, Deep Shrink ...) see the same block numbers and act at the same places.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.ldm.modules.diffusionmodules import openaimodel
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel, VideoResBlock
from comfy.ldm.modules.diffusionmodules.util import timestep_embedding
from torch import Tensor

from ...controlnet.caching.step_cache import Features, Method
from .lazy_residuals import HostResiduals

OUTPUT_PATCH = "output_block_patch"


@dataclass(frozen=True)
class UnetCall:
    """The UNet's arguments from the host. options: its `transformer_options`, which the UNet writes into as it goes."""

    x: Tensor
    timesteps: Tensor
    context: Tensor | None
    y: Tensor | None
    options: dict[str, Any]

    def patches(self, name: str) -> Sequence[Callable[..., Any]]:
        return self.options.get("patches", {}).get(name, ())


def check_unet(model: Any) -> None:
    """Raise ValueError unless a UNet of the Stable Diffusion 1.5, 2.x or SDXL kind. model: the host's base model."""
    unet = model.diffusion_model
    if not isinstance(unet, UNetModel) or any(isinstance(module, VideoResBlock) for module in unet.modules()):
        raise ValueError(
            f"The MODEL is a {type(model).__name__}, which Step Cache cannot divide: it is made for the UNets of "
            "SD1.5, SD2.x and SDXL. Take the node out, or use a step cache of ComfyUI, such as EasyCache."
        )


class Capture:
    """Takes the features of a method from a whole run, by a patch of the kind that any node may add to a model.

    control: the lists of residuals, from which the UNet takes the last one at each block.
    """

    def __init__(self, unet: UNetModel, method: Method, control: HostResiduals | None) -> None:
        self._last = len(unet.output_blocks) - 1
        self._deep = method == "deep cache"
        self._control: HostResiduals = control or {}
        self._h: Tensor | None = None
        self._skips: list[Tensor] = []
        self._residual: Tensor | None = None
        self._inside = self._next("input") if self._deep else None
        self._others = False

    def hook(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with the patch, before those of others: on a partial run these act again."""
        patches = options.get("patches", {})
        others = patches.get(OUTPUT_PATCH, [])
        self._others = bool(others)
        return {**options, "patches": {**patches, OUTPUT_PATCH: [self._take, *others]}}

    @property
    def features(self) -> Features | None:
        """None when the UNet did not run, since another cache stood in for it."""
        if self._h is None:
            return None
        return Features(self._h, tuple(reversed(self._skips)), self._residual, self._inside)

    def _take(self, h: Tensor, skip: Tensor, options: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        number = options["block"][1]
        if number == (self._last if self._deep else 0):
            self._h = self._own(h)
        if not self._deep:
            self._skips.append(self._own(skip))
        elif number == self._last - 1:
            self._residual = self._next("output")
        return h, skip

    def _own(self, tensor: Tensor) -> Tensor:
        """Other patches write into what they are given (FreeU)."""
        return tensor.clone() if self._others else tensor

    def _next(self, part: str) -> Tensor | None:
        """The entry that the UNet will take from a list for its next block."""
        residuals = self._control.get(part)
        return residuals[-1] if residuals else None


def run_decoder(unet: UNetModel, call: UnetCall, features: Features) -> Tensor:
    """Encoder propagation: the whole decoder on kept features."""
    return _decode(unet, call, _embed(unet, call), features)


def run_outer_blocks(unet: UNetModel, call: UnetCall, features: Features) -> Tensor:
    """Deep cache: the first block of the encoder and the last of the decoder, on the kept features between them."""
    emb = _embed(unet, call)
    call.options["transformer_index"] = 0
    call.options["block"] = ("input", 0)
    skip = _run(unet.input_blocks[0], call, call.x, emb)
    if features.inside is not None:
        skip = skip + features.inside
    for patch in call.patches("input_block_patch"):
        skip = patch(skip, call.options)
    if features.residual is not None:
        skip = skip + features.residual
    return _decode(unet, call, emb, Features(features.h, (skip,)))


def _embed(unet: UNetModel, call: UnetCall) -> Tensor:
    call.options["original_shape"] = list(call.x.shape)
    sinusoids = timestep_embedding(call.timesteps, unet.model_channels, repeat_only=False).to(call.x.dtype)
    emb = unet.time_embed(sinusoids)
    for patch in call.patches("emb_patch"):
        emb = patch(emb, unet.model_channels, call.options)
    return emb if unet.num_classes is None else emb + unet.label_emb(call.y)


def _decode(unet: UNetModel, call: UnetCall, emb: Tensor, features: Features) -> Tensor:
    """The decoder's last blocks, as many as there are skips."""
    blocks, skips, h = list(unet.output_blocks), list(features.skips), features.h
    first = len(blocks) - len(skips)
    call.options["transformer_index"] = sum(map(_transformers, _before(unet, first)))
    patches = call.patches(OUTPUT_PATCH)
    if patches:
        h, skips = h.clone(), [skip.clone() for skip in skips]
    for number in range(first, len(blocks)):
        call.options["block"] = ("output", number)
        skip = skips.pop()
        for patch in patches:
            h, skip = patch(h, skip, call.options)
        h = torch.cat([h, skip], dim=1)
        h = _run(blocks[number], call, h, emb, skips[-1].shape if skips else None)
    return unet.out(h.type(call.x.dtype))


def _run(block: Any, call: UnetCall, h: Tensor, emb: Tensor, output_shape: torch.Size | None = None) -> Tensor:
    # By the module's attribute, since other packs put their own function there (AnimateDiff).
    return openaimodel.forward_timestep_embed(block, h, emb, call.context, call.options, output_shape)


def _before(unet: UNetModel, first: int) -> Iterator[Iterable[Any]]:
    """The blocks before an output block, in the order in which they run."""
    yield from unet.input_blocks
    if unet.middle_block is not None:
        yield unet.middle_block
    yield from list(unet.output_blocks)[:first]


def _transformers(block: Iterable[Any]) -> int:
    return sum(isinstance(layer, SpatialTransformer) for layer in block)

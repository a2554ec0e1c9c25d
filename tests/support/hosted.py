"""Families of ControlNets that ComfyUI's own networks run: their tiny files, and what runs them.

Where ComfyUI's loader takes a width for granted, the same loader is given the tiny one.
"""

from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from unittest import mock

import torch
from torch import Tensor

from support.comfy_host import import_host
from support.hosted_files import (
    FLUX,
    HUNYUAN,
    OPS,
    QWEN,
    cascade,
    filled,
    flux,
    flux_inpaint,
    hunyuan,
    instantx,
    qwen,
    qwen_fun,
    sd3,
    sd35,
)

import_host()

import comfy.cldm.dit_embedder
import comfy.controlnet
import comfy.ldm.hydit.controlnet
import comfy.ldm.qwen_image.model
import comfy.model_base
import comfy.model_detection
import comfy.model_sampling
from zeroconv.controlnet.formats import recognise
from zeroconv.host.loading.load import control_from_tensors


class FlowSampling(comfy.model_sampling.ModelSamplingDiscreteFlow, comfy.model_sampling.CONST):
    pass


class NoiseSampling(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.EPS):
    pass


class Vae:
    """A stand-in: the mean of 8 x 8 pixels, spread over channels. frames: whether latents have a time axis."""

    def __init__(self, channels: int = 16, frames: bool = False) -> None:
        self.channels, self.frames, self.calls = channels, frames, 0

    def spacial_compression_encode(self) -> int:
        return 8

    def encode(self, pixels: Tensor) -> Tensor:
        self.calls += 1
        small = torch.nn.functional.avg_pool2d(pixels.movedim(-1, 1).float(), 8)
        shift = torch.linspace(-1, 1, self.channels)[None, :, None, None]
        latent = small.mean(1, keepdim=True) * 2 - 1 + shift * small[:, :1]
        return latent.unsqueeze(2) if self.frames else latent


class FilmVae(Vae):
    """A stand-in for a VAE of films: of every fourth frame, along the time of one latent."""

    compression = 4

    def temporal_compression_decode(self) -> int:
        return self.compression

    def encode(self, pixels: Tensor) -> Tensor:
        return super().encode(pixels)[:: self.compression].movedim(0, 1).unsqueeze(0)


@dataclass(frozen=True)
class Family:
    """A family: its tiny file, how the loader is made tiny, its base model and what the base model's step holds.

    base: name of a class of `comfy.model_base`. count: residuals. latent: shape without the batch. host: name of the
    host's control, where only newer hosts have it.
    """

    format: str
    tensors: Callable[[], dict[str, Tensor]]
    base: str
    count: int
    context: int = 24
    config: dict = field(default_factory=dict)
    classes: dict = field(default_factory=dict)
    latent: tuple[int, ...] = (16, 8, 12)
    vae: bool = True
    extra: Callable[[int], dict[str, Tensor]] = lambda rows: {}
    width: int | None = 32
    flow: bool = True
    unet: Callable[[], torch.nn.Module | None] = lambda: None
    host: str = "ControlNet"


def qwen_base() -> torch.nn.Module:
    """A base model of one block, whose embedders the Fun network borrows."""
    network = comfy.ldm.qwen_image.model.QwenImageTransformer2DModel(
        patch_size=2, in_channels=64, out_channels=16, num_layers=1, dtype=torch.float32, operations=OPS, **QWEN
    )
    network.load_state_dict(filled(network), strict=False)
    return network


def sd3_base() -> torch.nn.Module:
    """The embedders that SD3.5's ControlNets borrow."""
    base = torch.nn.Module()
    mmdit = comfy.ldm.modules.diffusionmodules.mmdit
    base.x_embedder = mmdit.PatchEmbed(None, 2, 16, 256, strict_img_size=False, dtype=torch.float32, operations=OPS)
    base.y_embedder = mmdit.VectorEmbedder(2048, 256, torch.float32, None, operations=OPS)
    base.load_state_dict(filled(base))
    return base


def flux_extra(rows: int) -> dict[str, Tensor]:
    return {"y": draw(rows, 16, seed=5), "guidance": torch.full((rows,), 3.5)}


def hunyuan_extra(rows: int) -> dict[str, Tensor]:
    known = torch.tensor([1, 1, 1, 0, 0, 0])
    return {
        "text_embedding_mask": known[:5].repeat(rows, 1),
        "encoder_hidden_states_t5": draw(rows, 6, 32, seed=6),
        "text_embedding_mask_t5": known.repeat(rows, 1),
    }


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


SD35 = {
    "base": "SD3",
    "count": 4,
    "width": 256,
    "extra": lambda rows: {"y": draw(rows, 2048, seed=5)},
    "unet": sd3_base,
}
SMALL_HUNYUAN = partial(comfy.ldm.hydit.controlnet.HunYuanControlNet, **HUNYUAN)

EVERY_FAMILY: dict[str, Family] = {
    "sd3": Family("sd3", sd3, "SD3", 3, extra=lambda rows: {"y": draw(rows, 16, seed=5)}, width=256),
    "sd3.5 large": Family("sd35", partial(sd35, True), **SD35),
    "sd3.5 medium": Family("sd35", partial(sd35, False), **SD35),
    "flux xlabs": Family("flux-xlabs", flux, "Flux", 19, config=FLUX, vae=False, extra=flux_extra),
    "flux mistoline": Family(
        "flux-mistoline", partial(flux, True), "Flux", 57, config=FLUX, vae=False, extra=flux_extra
    ),
    "flux instantx": Family("flux", instantx, "Flux", 57, config=FLUX, extra=flux_extra),
    "flux union": Family("flux", partial(instantx, 10), "Flux", 57, config=FLUX, extra=flux_extra),
    "hunyuan-dit": Family(
        "hunyuan-dit", hunyuan, "HunyuanDiT", 19, latent=(4, 8, 12), extra=hunyuan_extra, flow=False,
        classes={"comfy.ldm.hydit.controlnet.HunYuanControlNet": SMALL_HUNYUAN},
    ),
    "qwen-image": Family("qwen-image", qwen, "QwenImage", 60, config=QWEN, latent=(16, 1, 8, 12)),
    "qwen-image fun": Family(
        "qwen-fun", qwen_fun, "QwenImage", 5, latent=(16, 1, 8, 12), width=None, unet=qwen_base,
        host="QwenFunControlNet",
    ),
    "stable cascade": Family(
        "stable-cascade", cascade, "StableCascade_C", 8, latent=(16, 6, 8), vae=False, width=None
    ),
    "stable cascade large": Family(
        "stable-cascade", partial(cascade, True), "StableCascade_C", 8, latent=(16, 6, 8), vae=False, width=None
    ),
}  # fmt: skip

INPAINTING: dict[str, Family] = {
    "sd3": replace(EVERY_FAMILY["sd3"], tensors=partial(sd3, 1)),
    "flux": replace(EVERY_FAMILY["flux instantx"], tensors=flux_inpaint),
    "qwen-image": replace(EVERY_FAMILY["qwen-image"], tensors=partial(qwen, 4)),
}
"""Inpainting networks, by their base model: a mask goes beside the hint's latent."""

FAMILIES = {name: family for name, family in EVERY_FAMILY.items() if hasattr(comfy.controlnet, family.host)}
"""Those that this host runs."""


@contextmanager
def tiny(family: Family):
    """ComfyUI's loader takes these widths for granted: meanwhile it finds the tiny ones."""
    real = comfy.model_detection.model_config_from_unet

    def found(*arguments, **named):
        config = real(*arguments, **named)
        config.unet_config = {**config.unet_config, **family.config}
        return config

    with ExitStack() as patches:
        if family.config:
            patches.enter_context(mock.patch.object(comfy.model_detection, "model_config_from_unet", found))
        for name, small in family.classes.items():
            patches.enter_context(mock.patch(name, small))
        yield


def base_model(family: Family) -> torch.nn.Module:
    """An instance of the family's class, with what a ControlNet asks of its base model."""
    model = getattr(comfy.model_base, family.base).__new__(getattr(comfy.model_base, family.base))
    torch.nn.Module.__init__(model)
    model.diffusion_model = family.unet() or torch.nn.Module()
    if family.width is not None:
        model.diffusion_model.hidden_size = family.width
    model.model_sampling = (FlowSampling if family.flow else NoiseSampling)(None)
    return model


def vae_of(family: Family) -> Vae | None:
    return Vae(family.latent[0], frames=len(family.latent) == 4) if family.vae else None


def step(family: Family, groups: int = 2, pictures: int = 1) -> tuple[Tensor, dict[str, Tensor]]:
    """Latents, equal in all groups, and the conditioning of every row."""
    rows = groups * pictures
    x = draw(pictures, *family.latent, seed=8).repeat(groups, *(1,) * len(family.latent))
    return x, {"c_crossattn": draw(rows, 5, family.context, seed=9), **family.extra(rows)}


def from_tensors(tensors, name):
    """A control of ours from the tensors of a file of the host's families."""
    form = recognise({key: tuple(value.shape) for key, value in tensors.items()})
    return control_from_tensors(tensors, name, form=form)

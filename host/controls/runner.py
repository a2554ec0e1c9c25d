"""The runner: the part of a control that differs from kind to kind. All else is written once, in `control.py`."""

from __future__ import annotations

import copy
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import comfy.model_management
import torch
from torch import Tensor

from ...controlnet.hint.fit import Fit, fit_hint
from ...controlnet.hint.inpaint import Inpaint, InpaintInput
from ...controlnet.hint.region import Region
from ...controlnet.hint.video import film_frames, pixel_frames
from ...controlnet.networks.layers import repeat_rows
from ...controlnet.networks.union import UnionHint
from ...controlnet.residuals import Residuals
from ...controlnet.strength.scaling import Scales
from ..sampling.patches import ControlPatch
from ..sampling.request import StepRequest
from .loaded_network import LoadedNetwork

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

PreparedHint = tuple[Tensor, ...]
"""A hint as a network takes it: tensors that all have a row for each hint image."""

HINT_STRIDE = 8
"""Pixels of a hint to a latent point, where the VAE has no say in it."""


@dataclass(frozen=True)
class Abilities:
    """The residuals that a kind of network gives, and the requests that it can serve.

    residual_count: how many residuals it gives, for weights over the depth. output_count: how many of them go to the
    skips; None where only a run tells. regions: can take the part of the hint that lies in a region. frames: its hints
    are for some frames of a video, and it sees all frames together. film: its hints are the frames of one film, which
    run along the time of the latent. divisible: can be asked for a part of a step's
    rows. rounds_as_core: round after scaling and after adding, as the host does, and not only once.
    """

    residual_count: int
    output_count: int | None = None
    regions: bool = False
    frames: bool = False
    film: bool = False
    divisible: bool = True
    rounds_as_core: bool = False


@dataclass(frozen=True, eq=False)
class HintView:
    """The hints of a control, and the frame in which its network is to see them.

    image: (B, 3, H, W), 0..1, any size. union_hints, union_types: of a union network, more hints, and the kinds of all.
    size: height and width of the latent that the hints are laid over. region: the part to prepare, None for all.
    stride: pixels to a latent point. fit: how other sizes meet it. preprocess: the host's own change of the pixels.
    vae, masks: what Apply gave to networks that see latents. inpaint: what it gave to those that take a picture to
    complete beside the hint. latent_frames: along the time of the latent, 1 for pictures.
    """

    image: Tensor
    size: tuple[int, int]
    region: Region | None
    stride: int
    fit: Fit
    device: torch.device
    preprocess: Callable[[Tensor], Tensor]
    union_hints: tuple[UnionHint, ...] = ()
    union_types: tuple[int, ...] = ()
    vae: Any = None
    masks: Sequence[Tensor] = ()
    inpaint: Inpaint | None = None
    latent_frames: int = 1

    @property
    def pixel_size(self) -> tuple[int, int]:
        return self.size[0] * self.stride, self.size[1] * self.stride

    def pixels(self, image: Tensor | None = None, size: tuple[int, int] | None = None) -> Tensor:
        """A hint, by default the control's own, (B, 3, H, W), 0..1, at a size in pixels, by default the frame's."""
        image = self.image if image is None else image
        return self.preprocess(fit_hint(image, size or self.pixel_size, self.fit))

    def film(self, size: tuple[int, int]) -> Tensor:
        """The hints as a film of the length that the VAE makes of the latent, (frames, 3, H, W)."""
        order = film_order(self.image.shape[0], self.latent_frames, self.vae)
        return self.pixels(self.image[: max(order) + 1], size)[list(order)]

    def vae_encode(self, pixels: Tensor) -> Tensor:
        """Latents of pixels (B, C, H, W), 0..1; what the host had loaded for its step is loaded again after."""
        loaded = comfy.model_management.loaded_models(only_currently_used=True)
        latents = self.vae.encode(pixels.movedim(1, -1))
        comfy.model_management.load_models_gpu(loaded)
        return latents.to(self.device)


class Runner(ABC):
    """One network with what the host needs to know of it; it holds nothing of a sampling, so controls can share it.

    family: the base models it is for, or its kind, for messages. latent_format: the host's scaling of the latents that
    it sees of its hints, None for a network that sees pixels. stride: pixels of the hint to a latent point; where it
    sees latents, latent points to a point of its own. concat_mask: whether the host is to hand masks of inpainting
    over. inpaint_input: whether and how it takes a picture to complete, and its mask.
    """

    latent_format: Any = None
    stride: int = HINT_STRIDE
    concat_mask: bool = False
    inpaint_input: InpaintInput = "none"
    union_types: tuple[str, ...] = ()
    """Names of the kinds of hint by number; none for a network that knows one kind."""

    def __init__(self, loaded: LoadedNetwork[Any], family: str, abilities: Abilities) -> None:
        self.loaded, self.family, self.abilities = loaded, family, abilities
        self.preprocess_image: Callable[[Tensor], Tensor] = _as_it_is

    @property
    def name(self) -> str:
        return self.loaded.name

    def models(self) -> list[Any]:
        """The host's model patchers, to be loaded for a sampling."""
        return [self.loaded.patcher]

    def on_device(self, device: torch.device) -> Self:
        """The same network on another device (several GPUs of newer hosts)."""
        twin = copy.copy(self)
        twin.loaded = self.loaded.on_device(device)
        return twin

    def with_compiled(self, network: Any) -> Self:
        """The same network, run by what `torch.compile` made of it. Raises ValueError for another one's."""
        if getattr(network, "_orig_mod", None) is not self.loaded.network:
            raise ValueError(f"'{self.name}' keeps its network; only torch.compile's version of it can take its place.")
        twin = copy.copy(self)
        twin.loaded = replace(self.loaded, compiled=network)
        return twin

    def begin(self, base_model: Any) -> None:
        """Called before a sampling, for networks that take something from the base model."""
        return

    def release(self) -> None:
        """Let go of what was computed for one sampling."""
        self.loaded.cache.clear()

    @abstractmethod
    def check_base_model(self, base_model: Any) -> None:
        """Raise ValueError when the network was not made for this base model (`comfy.model_base.BaseModel`)."""

    def check_union_types(self, union_types: tuple[int, ...], chosen: bool) -> None:
        """Raise ValueError when the network does not know these kinds of hint, or needs one to be chosen.

        chosen: whether Set Union ControlNet Type was used.
        """
        return

    @abstractmethod
    def memory(self, hint_shape: torch.Size, dtype: torch.dtype, sets: int) -> int:
        """Bytes of the largest activations and of so many sets of residuals, for cond and uncond at the hint's size."""

    @abstractmethod
    def prepare_hint(self, view: HintView) -> PreparedHint:
        """The hints as the network takes them, computed once for a sampling."""

    def strength(self, strength: float) -> float:
        """The factor on the network's residuals at this strength."""
        return strength


class ResidualRunner(Runner):
    """A network that gives residuals."""

    def announce(self, request: StepRequest, hint: Callable[[], PreparedHint]) -> None:
        """Called for every request that may run, before the first one does."""
        return

    @abstractmethod
    def run(self, request: StepRequest, hint: Callable[[], PreparedHint]) -> Residuals:
        """Residuals of the active rows, to be changed at will; those behind the first `needed` may be left out.

        hint: gives the prepared hint with one row, one for each active item, or one for each active row.
        """


class PatchRunner(Runner):
    """A network that acts inside the base model's own run, by patches for one step, and gives no residuals."""

    def with_compiled(self, network: Any) -> Self:
        """Itself: it has no run of its own that could be compiled."""
        logger.warning(
            "'%s' runs inside the base model and is not compiled; use TorchCompileModel for that.", self.name
        )
        return self

    @abstractmethod
    def patches(self, request: StepRequest, hint: PreparedHint, scales: Scales) -> Iterable[tuple[str, ControlPatch]]:
        """The patches of a step, each with the host's name of its place. hint: as in `ResidualRunner.run`."""


def film_order(hint_count: int, latent_frames: int, vae: Any) -> tuple[int, ...]:
    """Index of the hint of each frame that the VAE would decode a latent to."""
    return film_frames(hint_count, pixel_frames(latent_frames, vae.temporal_compression_decode() or 1))


def _as_it_is(pixels: Tensor) -> Tensor:
    return pixels


def for_rows(hint: Tensor, request: StepRequest) -> Tensor:
    """A prepared hint with one row, or one for each active row."""
    active = len(request.active_groups) * len(request.active_items)
    return hint if hint.shape[0] == 1 else repeat_rows(hint, active)

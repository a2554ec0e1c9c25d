"""A ComfyUI MODEL, CLIP and VAE as the base model of a training.

The walk through the UNet follows `UNetModel._forward` in ComfyUI's `comfy/ldm/modules/diffusionmodules/openaimodel.py`
(0.3.75), with the encoder outside of the gradient and the decoder recomputed block by block.
"""

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import comfy.ldm.modules.diffusionmodules.openaimodel as host_unet
import comfy.model_base
import comfy.model_management
import comfy.model_sampling
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ...controlnet.networks.dimensions import family_name
from ...controlnet.networks.layers import timestep_embedding
from ...controlnet.residuals import Residuals
from ...training.base import Interrupted, NoiseSchedule, Phase, Prompt
from ...training.copy import COPIED
from ..loading.model_weights import effective_weights


@contextmanager
def interruptible() -> Iterator[None]:
    """Tell the loop of the host's interrupt, which its layers and its progress bar raise wherever they are."""
    try:
        yield
    except comfy.model_management.InterruptProcessingException as interrupt:
        raise Interrupted from interrupt


FAMILIES = ("SD1.5", "SD2.x", "SDXL")
UNET = "diffusion_model."
"""Prefix of the UNet's weights in a MODEL."""
UNSET = ("text_projection.weight", "logit_scale")
"""Weights of text encoders that most checkpoints lack: the host leaves them uninitialized, and rarely uses them."""


class ComfyBase:
    """A frozen base model."""

    def __init__(self, model: Any, clip: Any, vae: Any, checkpointing: bool = False) -> None:
        """Raises ValueError when the model is of a family or a prediction that ControlNets are not trained for."""
        self._patcher, self._clip, self._vae, self._checkpointing = model, clip, vae, checkpointing
        config = model.model.model_config.unet_config
        self.family = family_name(config.get("context_dim"), config.get("adm_in_channels"))
        if self.family not in FAMILIES or not isinstance(model.model.diffusion_model, host_unet.UNetModel):
            raise ValueError(
                f"ControlNets can be trained for {', '.join(FAMILIES)}; this MODEL is {self.family}. Load another one."
            )
        self.schedule = _schedule(model.get_model_object("model_sampling"))
        self.device: torch.device = model.load_device
        self.fingerprint = _fingerprint(model, clip, vae)
        self._reserved = 0
        self._unet: Any = None

    def unet_weights(self) -> Mapping[str, Tensor]:
        """Those that a trainable copy takes, with the MODEL's LoRAs."""
        names = tuple(UNET + name for name in COPIED)
        weights = effective_weights(self._patcher, lambda key: key.startswith(names))
        return {key.removeprefix(UNET): weight for key, weight in weights}

    def unet_bytes(self) -> int:
        """Bytes that the UNet occupies."""
        return self._patcher.model_size()

    def free_bytes(self) -> int | None:
        """Bytes that are free on the device once everything is unloaded; None on a CPU, where it is not counted."""
        if self.device.type == "cpu":
            return None
        comfy.model_management.unload_all_models()
        return int(comfy.model_management.get_free_memory(self.device))

    def reserve(self, size: int) -> None:
        self._reserved = size

    def prepare(self, phase: Phase) -> None:
        """The host loads text encoder and autoencoder by itself when they are called; here the UNet."""
        if phase == "encode":
            return
        comfy.model_management.load_models_gpu([self._patcher], memory_required=self._reserved, force_full_load=True)
        self._unet = self._differentiable(self._patcher.model.diffusion_model)

    def _differentiable(self, unet: torch.nn.Module) -> torch.nn.Module:
        """The UNet with weights that autograd can work with.

        Weights that were made in inference mode cannot be; moving to a GPU makes new ones, but on a CPU they stay.
        """
        if not any(parameter.is_inference() for parameter in unet.parameters()):
            return unet
        return self._unet if self._unet is not None else copy.deepcopy(unet).requires_grad_(False)

    @interruptible()
    def predict(self, x: Tensor, timesteps: Tensor, prompt: Prompt, residuals: Residuals | None) -> Tensor:
        unet, dtype = self._unet, self._compute_dtype()
        options: dict[str, Any] = {"original_shape": list(x.shape), "transformer_index": 0}
        context = prompt.context.to(dtype)
        with torch.no_grad():
            emb = unet.time_embed(timestep_embedding(timesteps, unet.model_channels).to(dtype))
            if prompt.vector is not None:
                emb = emb + unet.label_emb(prompt.vector.to(dtype))
            h, skips = x.to(dtype), []
            for block in unet.input_blocks:
                h = host_unet.forward_timestep_embed(block, h, emb, context, options)
                skips.append(h)
            h = host_unet.forward_timestep_embed(unet.middle_block, h, emb, context, options)
        if residuals is not None:
            h = h + residuals.middle[0].to(dtype)
            skips = [skip + extra.to(dtype) for skip, extra in zip(skips, residuals.output, strict=True)]
        for block in unet.output_blocks:
            h = torch.cat([h, skips.pop()], 1)
            shape = skips[-1].shape if skips else None
            h = self._run(block, h, emb, context, options, shape)
        return unet.out(h).float()

    def _run(self, block: Any, h: Tensor, *arguments: Any) -> Any:
        if self._checkpointing and torch.is_grad_enabled():
            return checkpoint(_forward_block, block, h, *arguments, use_reentrant=False)
        return _forward_block(block, h, *arguments)

    def _compute_dtype(self) -> torch.dtype:
        model = self._patcher.model
        return model.manual_cast_dtype or model.get_dtype()

    @torch.no_grad()
    def encode_images(self, images: Tensor) -> Tensor:
        latents = self._vae.encode(images.permute(0, 2, 3, 1)[..., :3])
        return self._patcher.model.process_latent_in(latents).to(self.device)

    @interruptible()
    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        pixels = self._vae.decode(self._patcher.model.process_latent_out(latents))
        return pixels.permute(0, 3, 1, 2).to(self.device)

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str], height: int, width: int) -> Prompt:
        contexts, vectors = [], []
        for text in prompts:
            encoded = self._clip.encode_from_tokens(self._clip.tokenize(text), return_pooled=True, return_dict=True)
            contexts.append(encoded["cond"].float())
            size = {"width": width, "height": height, "target_width": width, "target_height": height}
            vector = self._patcher.model.encode_adm(pooled_output=encoded["pooled_output"], device="cpu", **size)
            if vector is not None:
                vectors.append(vector.float())
        return Prompt(torch.cat(contexts), torch.cat(vectors) if vectors else None)


@interruptible()
def _forward_block(block: Any, h: Tensor, *arguments: Any) -> Any:
    return host_unet.forward_timestep_embed(block, h, *arguments)


def _schedule(sampling: Any) -> NoiseSchedule:
    sigmas = getattr(sampling, "sigmas", None)
    if sigmas is None or not isinstance(sampling, comfy.model_sampling.EPS):
        raise ValueError(
            "This MODEL predicts neither noise nor velocity; ControlNets cannot be trained for it. Load another one."
        )
    velocity = isinstance(sampling, comfy.model_sampling.V_PREDICTION)
    shares = 1 / (1 + sigmas.double().cpu() ** 2)
    return NoiseSchedule(shares.float().clone(), "v" if velocity else "eps")


def _fingerprint(model: Any, clip: Any, vae: Any) -> str:
    """SHA-256 of all weights that a checkpoint sets, with their names and LoRAs, and of the CLIP's last layer."""
    digest = hashlib.sha256()
    for patcher, prefix in ((model, UNET), (clip.patcher, ""), (vae.patcher, "")):
        weights = {key.removeprefix(prefix): value for key, value in effective_weights(patcher, _is_set(prefix))}
        for key, value in sorted(weights.items()):
            digest.update(key.encode())
            digest.update(value.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    if getattr(clip, "layer_idx", None) is not None:
        digest.update(f"layer {clip.layer_idx}".encode())
    return digest.hexdigest()


def _is_set(prefix: str) -> Callable[[str], bool]:
    return lambda key: key.startswith(prefix) and not key.endswith(UNSET)

"""Whether a network and a base model belong together."""

from collections.abc import Mapping
from typing import Any

import comfy.model_base

from ...controlnet.networks.dimensions import family_name

BASES: dict[str, tuple[str, ...]] = {
    "SD3": ("SD3",),
    "SD3.5": ("SD3",),
    "Flux": ("Flux",),
    "Hunyuan-DiT": ("HunyuanDiT",),
    "Qwen-Image": ("QwenImage",),
    "Stable Cascade": ("StableCascade_C",),
    "Z-Image": ("Lumina2",),
    "Anima": ("Anima",),
    "Wan": ("WAN21", "WAN21_Vace", "WAN21_Camera"),
}
"""Names of the host's classes in `comfy.model_base`, by the family of the ControlNet."""


def check_unet_family(
    file: str, family: str, context_dim: int | None, adm_channels: int | None, base_model: Any
) -> None:
    """Raise ValueError when a network for Stable Diffusion and a base model are of two families.

    file: its name, for the message. context_dim: width of the prompt's tokens, None for a network without
    attention: then the size vector alone tells. adm_channels: width of the size vector, None for SD1.5 and SD2.x.
    """
    config, base = base_model.model_config.unet_config, base_family(base_model)
    fits = context_dim in (None, config.get("context_dim")) and adm_channels == config.get("adm_in_channels")
    if fits and is_picture_unet(config):
        return
    raise ValueError(
        f"The ControlNet is for {family}, but the MODEL is {base}. "
        f"Load a ControlNet made for {base} in place of '{file}', or a checkpoint of {family}."
    )


def is_picture_unet(config: Mapping[str, Any]) -> bool:
    """Whether a base model is a UNet for pictures. config: the host's description of it."""
    return "context_dim" in config and "model_channels" in config and not config.get("use_temporal_attention")


def base_family(base_model: Any) -> str:
    """A base model's family, for messages: of Stable Diffusion, or the host's name of it."""
    config = base_model.model_config.unet_config
    if config.get("use_temporal_attention"):
        return "Stable Video Diffusion"
    if is_picture_unet(config):
        return family_name(config["context_dim"], config.get("adm_in_channels"))
    return _host_class(base_model)


def check_transformer_family(file: str, family: str, width: int | None, base_model: Any) -> None:
    """Raise ValueError when a network of a family that the host runs and a base model are of two families or sizes.

    file: its name, for the message. width: channels of the control's residuals; None where its network does not say.
    The base model's class is compared exactly: Flux.2, Chroma and LongCat inherit from Flux, and are other models.
    """
    base = _host_class(base_model)
    if base not in BASES[family]:
        raise ValueError(
            f"The ControlNet is for {family}, but the MODEL is {base}. Load a ControlNet made for this model in place "
            f"of '{file}', or a checkpoint of {family}."
        )
    base_width = width_of(base_model.diffusion_model)
    if width is not None and base_width is not None and width != base_width:
        raise ValueError(
            f"The ControlNet is for another size of {family}: its residuals have {width} channels, the MODEL's blocks "
            f"{base_width}. Load a ControlNet made for this model in place of '{file}'."
        )


def _host_class(base_model: Any) -> str:
    """Name of a base model's class in the host; packs may have derived one of their own from it."""
    own = (kind.__name__ for kind in type(base_model).__mro__ if kind.__module__ == comfy.model_base.__name__)
    return next(own, type(base_model).__name__)


def width_of(network: Any) -> int | None:
    """Channels of a token; None where the network does not say."""
    names = ("hidden_size", "inner_dim", "dim", "model_channels")
    return next((value for name in names if isinstance(value := getattr(network, name, None), int)), None)

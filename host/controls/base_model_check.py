"""Which base models the host's ControlNet families belong to."""

from typing import Any

import comfy.model_base

BASES: dict[str, tuple[str, ...]] = {
    "SD3": ("SD3",),
    "SD3.5": ("SD3",),
    "Flux": ("Flux",),
    "Hunyuan-DiT": ("HunyuanDiT",),
    "Qwen-Image": ("QwenImage",),
    "Stable Cascade": ("StableCascade_C",),
    "Z-Image": ("Lumina2",),
}
"""Names of the host's classes in `comfy.model_base`, by the family of the ControlNet."""


def check_base(family: str, width: int | None, model: Any) -> None:
    """Raise ValueError when a control of the host and a base model (`BaseModel`) are of two families or sizes.

    width: channels of the control's residuals; None where its network does not say.
    """
    kinds = tuple(getattr(comfy.model_base, name) for name in BASES[family])
    if not isinstance(model, kinds):
        raise ValueError(
            f"The ControlNet is for {family}, but the MODEL is {type(model).__name__}. Load a ControlNet made for this "
            f"model, or a checkpoint of {family}."
        )
    base = width_of(model.diffusion_model)
    if width is not None and base is not None and width != base:
        raise ValueError(
            f"The ControlNet is for another size of {family}: its residuals have {width} channels, the MODEL's blocks "
            f"{base}. Load a ControlNet made for this model."
        )


def width_of(network: Any) -> int | None:
    """Channels of a token; None where the network does not say."""
    names = ("hidden_size", "inner_dim", "dim")
    return next((value for name in names if isinstance(value := getattr(network, name, None), int)), None)

"""The hint of an inpainting ControlNet: the picture to complete, and the region to repaint."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

InpaintInput = Literal["none", "hint", "black hint", "beside"]
"""How a kind of network takes them.

none: not at all. hint: the hint is the picture, and the mask goes beside it; without one all is kept (DiffSynth's for
Qwen-Image). black hint: the same, black where it is to be painted, and the mask must be given (Alimama's for Flux and
SD3, InstantX's for Qwen-Image). beside: picture and mask both go beside a hint of another kind, and may be left out
(Z-Image Fun 2).
"""


@dataclass(frozen=True, eq=False)
class Inpaint:
    """picture: (B, 3, H, W), 0..1, None where the hint is the picture. mask: (B, 1, h, w), 0..1; 1 is painted anew."""

    picture: Tensor | None
    mask: Tensor | None

    @property
    def kept(self) -> Tensor | None:
        """The mask the other way round: 1 where the picture is to stay, as networks are given it."""
        return None if self.mask is None else 1.0 - self.mask

    def count(self, hint_count: int) -> int:
        """How many hints, pictures and masks there are, of which one serves for all. Raises ValueError when they
        differ."""
        counts = {"image": hint_count}
        counts |= {
            name: len(each)
            for name, each in (("inpaint_image", self.picture), ("inpaint_mask", self.mask))
            if each is not None
        }
        several = {name: count for name, count in counts.items() if count != 1}
        if len(set(several.values())) > 1:
            listed = ", ".join(f"{name} {count}" for name, count in several.items())
            raise ValueError(
                f"ControlNet Apply got different numbers of pictures: {listed}. Give one each, or as many of each."
            )
        return max(counts.values())


def check_inpaint(inpaint: Inpaint, takes: InpaintInput, name: str) -> None:
    """Raise ValueError for an input that the network does not take, or that it needs and did not get.

    name: of the network, for the message.
    """
    if takes == "none":
        if inpaint.picture is not None or inpaint.mask is not None:
            given = "inpaint_mask" if inpaint.picture is None else "inpaint_image"
            raise ValueError(
                f"'{name}' is not an inpainting ControlNet, but {given} of ControlNet Apply is wired. Take the wire "
                "off, or load an inpainting ControlNet. The one of SD1.5 (control_v11p_sd15_inpaint) is given its mask "
                "by the preprocessor Inpaint."
            )
    elif takes == "beside":
        if inpaint.picture is None and inpaint.mask is not None:
            raise ValueError(
                f"'{name}' has inpaint_mask but no inpaint_image: wire the picture to complete to inpaint_image of "
                "ControlNet Apply."
            )
    elif inpaint.picture is not None:
        raise ValueError(
            f"'{name}' sees one picture only, the one to complete: wire it to image of ControlNet Apply, and take the "
            "wire off inpaint_image."
        )
    elif inpaint.mask is None and takes == "black hint":
        raise ValueError(
            f"'{name}' is an inpainting ControlNet: wire a mask to inpaint_mask of ControlNet Apply, white where the "
            "picture is to be painted anew."
        )

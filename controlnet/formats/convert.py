"""ControlNets in other layouts, number formats and forms; all functions take and give tensors in LDM keys or say so.

Transfer to another base model: lllyasviel/ControlNet
`tool_transfer_control.py`. Control-LoRA: the inverse of `control_lora.py`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .control_lora import MARK as CONTROL_LORA_MARK
from .diffusers import to_diffusers
from .format import ENCODER_PARTS

Weights = Mapping[str, Tensor]
Report = Callable[[int, int], None]
"""Told how many of how many layers are done."""

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "fp8": torch.float8_e4m3fn}
ROUNDED_TO_8_BIT = re.compile(r"\.(transformer_blocks|in_layers\.2|out_layers\.3|proj_in|proj_out|skip_connection)\b")
"""Layers of which fp8 files keep the weights in 8 bit: the bulk, and what bears it. All others stay in 16 bit."""


def cast(weights: Weights, dtype: str) -> dict[str, Tensor]:
    """In another number format, one of DTYPES. Of an fp8 file only the bulk has 8 bit, the rest is bfloat16.

    e4m3 has 3 bits behind the point: |error| <= max(|w| / 16, 2**-10).
    """
    if dtype not in DTYPES:
        raise ValueError(f"The number format is one of {', '.join(DTYPES)}, not {dtype!r}.")

    def one(key: str, value: Tensor) -> Tensor:
        if not value.is_floating_point():
            return value
        small = dtype == "fp8" and (value.dim() < 2 or not ROUNDED_TO_8_BIT.search(key))
        return value.to(torch.bfloat16 if small else DTYPES[dtype])

    return {key: one(key, value) for key, value in weights.items()}


def transfer(weights: Weights, old: Weights, new: Weights) -> dict[str, Tensor]:
    """The ControlNet for another base model: what both copies share gets the difference of the base models.

    old, new: UNets in LDM keys, of the base that it was trained on and of the one that it is for. Raises ValueError
    when they do not fit.
    """
    moved = dict(weights)
    for key, value in weights.items():
        if not key.startswith(ENCODER_PARTS):
            continue
        for base, what in ((old, "trained on"), (new, "that it is for")):
            if key not in base or base[key].shape != value.shape:
                raise ValueError(f"The base model {what} does not fit at '{key}'. Give a checkpoint of its family.")
        moved[key] = (value.float() + (new[key].float() - old[key].float())).to(value.dtype)
    return moved


@dataclass(frozen=True)
class Extracted:
    """A Control-LoRA, float16. kept: the share (0..1) of the difference to the base (squared norm) that it keeps."""

    weights: dict[str, Tensor]
    kept: float


def extract_lora(weights: Weights, base: Weights, rank: int, report: Report = lambda done, total: None) -> Extracted:
    """The ControlNet as its difference to the base model, in matrices of at most `rank` columns.

    base: UNet in LDM keys. The best such matrices by the singular value decomposition (Eckart and Young 1936). Biases,
    norms, hint encoder and zero convolutions stay whole. Raises ValueError when the base does not fit.
    """
    if rank < 1:
        raise ValueError(f"The rank of a Control-LoRA is at least 1, not {rank}.")
    result: dict[str, Tensor] = {CONTROL_LORA_MARK: torch.zeros(0)}
    whole, kept = 0.0, 0.0
    for done, (key, value) in enumerate(weights.items()):
        report(done, len(weights))
        if not key.startswith(ENCODER_PARTS) or value.dim() < 2:
            result[key] = value
            continue
        if key not in base or base[key].shape != value.shape:
            raise ValueError(f"The base model does not fit at '{key}'. Give the checkpoint that it was trained on.")
        difference = (value.float() - base[key].float()).flatten(start_dim=1)
        left, scale, right = torch.linalg.svd(difference, full_matrices=False)
        count = min(rank, len(scale))
        root = scale[:count].sqrt()
        ones = (1,) * (value.dim() - 2)
        module = key.removesuffix(".weight")
        result[f"{module}.up"] = (left[:, :count] * root).reshape(value.shape[0], count, *ones)
        result[f"{module}.down"] = (root[:, None] * right[:count]).reshape(count, *value.shape[1:])
        whole += float(scale.square().sum())
        kept += float(scale[:count].square().sum())
    report(len(weights), len(weights))
    return Extracted({key: value.half().contiguous() for key, value in result.items()}, kept / whole if whole else 1.0)


@dataclass(frozen=True)
class Conversion:
    """The conversions of a ControlNet, in this order: for another base, a Control-LoRA, number format, layout.

    rank: of the Control-LoRA; 0: none. dtype: one of DTYPES; None: as it is. layout: "ldm" or "diffusers".
    """

    layout: str = "ldm"
    dtype: str | None = None
    rank: int = 0

    def check(self, has_base: bool, moves: bool) -> None:
        """Raise ValueError for what does not go together."""
        if (self.rank or moves) and not has_base:
            raise ValueError("This needs the base model that the ControlNet was trained on. Give it, too.")
        if self.rank and (self.layout != "ldm" or self.dtype):
            raise ValueError("A Control-LoRA has one layout and number format. Leave both as they are.")


LAYOUTS = ("ldm", "diffusers")


@dataclass(frozen=True)
class Converted:
    """The tensors to write, and what to tell about them."""

    weights: dict[str, Tensor]
    report: str


def convert(
    weights: Weights,
    conversion: Conversion,
    base: Weights | None = None,
    target: Weights | None = None,
    report: Report = lambda done, total: None,
) -> Converted:
    """Carry out a conversion.

    base, target: UNets in LDM keys, of the base model it was trained on and of the one that it is to be for. Raises
    ValueError when something is missing or does not fit.
    """
    conversion.check(base is not None, target is not None)
    remark = ""
    if base is not None and target is not None:
        weights = transfer(weights, base, target)
    if base is not None and conversion.rank:
        extracted = extract_lora(weights, base if target is None else target, conversion.rank, report)
        weights, remark = extracted.weights, f"; keeps {extracted.kept:.1%} of the difference to the base"
    if conversion.dtype:
        weights = cast(weights, conversion.dtype)
    if conversion.layout == "diffusers":
        weights = to_diffusers(weights)
    weights = {key: value.contiguous() for key, value in weights.items()}
    size = sum(value.nbytes for value in weights.values())
    return Converted(weights, f"{len(weights)} tensors, {size / 1e6:.1f} MB{remark}")

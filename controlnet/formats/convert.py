"""ControlNets in other layouts, number formats and forms; all functions take and give tensors in LDM keys or say so.

The layout of diffusers is the inverse of `diffusers.py`. Transfer to another base model: lllyasviel/ControlNet
`tool_transfer_control.py`. Control-LoRA: the inverse of `control_lora.py`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..dimensions import infer_dimensions
from .control_lora import MARK as CONTROL_LORA_MARK
from .diffusers import RESNET, SINGLE
from .format import ENCODER_PARTS, rename

Weights = Mapping[str, Tensor]
Report = Callable[[int, int], None]
"""Told how many of how many layers are done."""

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "fp8": torch.float8_e4m3fn}
ROUNDED_TO_8_BIT = re.compile(r"\.(transformer_blocks|in_layers\.2|out_layers\.3|proj_in|proj_out|skip_connection)\b")
"""Layers of which fp8 files keep the weights in 8 bit: the bulk, and what bears it. All others stay in 16 bit."""

_RESNET_NAMES = {inner: name for name, inner in RESNET.items()}
_EMBEDDING_NAMES = {"time_embed": "time_embedding", "label_emb.0": "add_embedding"}
_SINGLE_NAMES = {inner: name for name, inner in SINGLE.items()}


def to_diffusers(weights: Weights) -> dict[str, Tensor]:
    """The same tensors under the keys of diffusers' `ControlNetModel`. Raises ValueError when a part is missing."""
    dims = infer_dimensions({key: tuple(value.shape) for key, value in weights.items()})
    places: list[tuple[int, str]] = [(0, "")]
    stage, resnet = 0, 0
    for block in dims.blocks:
        if block.downsample:
            places.append((stage, "downsamplers.0.conv"))
            stage, resnet = stage + 1, 0
        else:
            places.append((stage, str(resnet)))
            resnet += 1
    last_hint = 2 * len(dims.hint_widths)
    return rename(weights, lambda key: _diffusers_key(key, places, last_hint))


def _diffusers_key(key: str, places: list[tuple[int, str]], last_hint: int) -> str:
    if key.startswith(("task_embedding", "transformer_layes", "spatial_ch_projs", "control_add_embedding")):
        return key.replace(".attn.in_proj.", ".attn.in_proj_")
    module, _, kind = key.rpartition(".")
    if module in _SINGLE_NAMES:
        return f"{_SINGLE_NAMES[module]}.{kind}"
    if m := re.match(r"input_hint_block\.(\d+)$", module):
        index = int(m[1])
        inner = "conv_out" if index == last_hint else f"blocks.{index // 2 - 1}"
        return f"controlnet_cond_embedding.{inner}.{kind}"
    if m := re.match(r"zero_convs\.(\d+)\.0$", module):
        return f"controlnet_down_blocks.{m[1]}.{kind}"
    if m := re.match(r"(time_embed|label_emb\.0)\.([02])$", module):
        return f"{_EMBEDDING_NAMES[m[1]]}.linear_{int(m[2]) // 2 + 1}.{kind}"
    if m := re.match(r"middle_block\.([012])\.(.+)$", module):
        index = int(m[1])
        return f"mid_block.{_part('attentions.0' if index == 1 else f'resnets.{index // 2}', m[2])}.{kind}"
    if m := re.match(r"input_blocks\.(\d+)\.([01])\.(.+)$", module):
        stage, place = places[int(m[1])]
        if place.startswith("downsamplers"):
            return f"down_blocks.{stage}.{place}.{kind}"
        part = "attentions" if m[2] == "1" else "resnets"
        return f"down_blocks.{stage}.{_part(f'{part}.{place}', m[3])}.{kind}"
    raise ValueError(f"diffusers has no place for the tensor '{key}'.")


def _part(part: str, name: str) -> str:
    return f"{part}.{_RESNET_NAMES.get(name, name) if part.startswith('resnets') else name}"


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
class Plan:
    """What to make of a ControlNet, in this order: for another base, a Control-LoRA, number format, layout.

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
    plan: Plan,
    base: Weights | None = None,
    target: Weights | None = None,
    report: Report = lambda done, total: None,
) -> Converted:
    """Carry out a plan.

    base, target: UNets in LDM keys, of the base model it was trained on and of the one that it is to be for. Raises
    ValueError when something is missing or does not fit.
    """
    plan.check(base is not None, target is not None)
    told = ""
    if base is not None and target is not None:
        weights = transfer(weights, base, target)
    if base is not None and plan.rank:
        extracted = extract_lora(weights, base if target is None else target, plan.rank, report)
        weights, told = extracted.weights, f"; keeps {extracted.kept:.1%} of the difference to the base"
    if plan.dtype:
        weights = cast(weights, plan.dtype)
    if plan.layout == "diffusers":
        weights = to_diffusers(weights)
    weights = {key: value.contiguous() for key, value in weights.items()}
    size = sum(value.nbytes for value in weights.values())
    return Converted(weights, f"{len(weights)} tensors, {size / 1e6:.1f} MB{told}")

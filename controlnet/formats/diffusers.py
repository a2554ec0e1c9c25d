"""The layout of diffusers' `ControlNetModel` (`controlnet_cond_embedding.conv_in.weight`) in one file.

Key names from diffusers `models/controlnets/controlnet.py`; a stage of the encoder is a `down_blocks.{i}` of
`resnets.{j}`, `attentions.{j}` and at its end `downsamplers.0`.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from ...storage.weights import shapes_of
from ..networks.build import build_controlnet
from ..networks.dimensions import Shapes, infer_dimensions
from .format import Description, Format, Value, describe_controlnet, rename, union_name
from .known import is_cross, is_video

MARK = "controlnet_cond_embedding.conv_in.weight"

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
EMBEDDINGS = {"time_embedding": "time_embed", "add_embedding": "label_emb.0", "class_embedding": "label_emb.0"}
SINGLE = {
    "conv_in": "input_blocks.0.0",
    "controlnet_mid_block": "middle_block_out.0",
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
}
_RESNET_NAMES = {inner: name for name, inner in RESNET.items()}
_EMBEDDING_NAMES = {"time_embed": "time_embedding", "label_emb.0": "add_embedding"}
_SINGLE_NAMES = {inner: name for name, inner in SINGLE.items()}


def _recognise(shapes: Shapes) -> bool:
    return MARK in shapes and "conv_in.weight" in shapes and not is_video(shapes) and not is_cross(shapes)


def _convert(tensors: dict[str, Tensor], base: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    return to_ldm(tensors)


def _describe(shapes: Shapes) -> Description:
    return describe_controlnet(to_ldm(shapes))


def to_ldm(values: Mapping[str, Value]) -> dict[str, Value]:
    """The same tensors, or shapes, under LDM names; what diffusers does not use keeps its name."""
    blocks = [int(m[1]) for key in values if (m := re.match(r"controlnet_cond_embedding\.blocks\.(\d+)\.", key))]
    names = {**SINGLE, "controlnet_cond_embedding.conv_out": f"input_hint_block.{2 * (max(blocks, default=-1) + 2)}"}
    starts = stage_starts(values)
    return rename(values, lambda key: union_name(_ldm_key(key, names, starts)))


def stage_starts(tensors: Mapping[str, object]) -> list[int]:
    """Index of the first input block of every `down_blocks.{i}`."""
    starts, stage = [1], 0
    while f"down_blocks.{stage}.resnets.0.conv1.weight" in tensors:
        resnet = 0
        while f"down_blocks.{stage}.resnets.{resnet}.conv1.weight" in tensors:
            resnet += 1
        down = f"down_blocks.{stage}.downsamplers.0.conv.weight" in tensors
        starts.append(starts[-1] + resnet + down)
        stage += 1
    return starts


def _ldm_key(key: str, names: dict[str, str], starts: list[int]) -> str:
    """LDM name of a diffusers key; a key that diffusers does not use is returned as it is."""
    module, _, kind = key.rpartition(".")
    if module in names:
        return f"{names[module]}.{kind}"
    if m := re.match(r"controlnet_cond_embedding\.blocks\.(\d+)$", module):
        return f"input_hint_block.{2 * (int(m[1]) + 1)}.{kind}"
    if m := re.match(r"controlnet_down_blocks\.(\d+)$", module):
        return f"zero_convs.{m[1]}.0.{kind}"
    if (m := re.match(r"(\w+)\.linear_([12])$", module)) and m[1] in EMBEDDINGS:
        return f"{EMBEDDINGS[m[1]]}.{2 * (int(m[2]) - 1)}.{kind}"
    m = re.match(r"down_blocks\.(\d+)\.(resnets|attentions|downsamplers)\.(\d+)\.(.+)$", module)
    if m and int(m[1]) < len(starts) - 1:
        stage, part, index = int(m[1]), m[2], int(m[3])
        if part == "downsamplers":
            return f"input_blocks.{starts[stage + 1] - 1}.0.op.{kind}"
        return f"input_blocks.{starts[stage] + index}.{_inner(part, m[4])}.{kind}"
    if m := re.match(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)$", module):
        part, index = m[1], int(m[2])
        rest = _inner(part, m[3]).partition(".")[2]
        return f"middle_block.{2 * index if part == 'resnets' else 1}.{rest}.{kind}"
    return key


def _inner(part: str, name: str) -> str:
    """Position and name inside a stage: the residual block is 0, the transformer 1."""
    return f"0.{RESNET.get(name, name)}" if part == "resnets" else f"1.{name}"


def to_diffusers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under the keys of diffusers' `ControlNetModel`. Raises ValueError when a part is missing."""
    dims = infer_dimensions(shapes_of(weights))
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


DIFFUSERS = Format(
    "diffusers",
    "ControlNet, diffusers layout",
    _recognise,
    _convert,
    _describe,
    kind="controlnet",
    build=build_controlnet,
)

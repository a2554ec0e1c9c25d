"""transformers' DPT-Hybrid with the weights of MiDaS's official file."""

import re
from typing import Any

import torch
from torch import Tensor

_HOOKED_BLOCKS = (8, 11)

_RENAMES = (
    (r"pretrained\.model\.(cls_token)", r"dpt.embeddings.\1"),
    (r"pretrained\.model\.pos_embed", "dpt.embeddings.position_embeddings"),
    (r"pretrained\.model\.patch_embed\.proj", "dpt.embeddings.projection"),
    (r"pretrained\.model\.patch_embed\.backbone\.stem\.conv", "dpt.embeddings.backbone.bit.embedder.convolution"),
    (r"pretrained\.model\.patch_embed\.backbone\.stem", "dpt.embeddings.backbone.bit.embedder"),
    (
        r"pretrained\.model\.patch_embed\.backbone\.stages\.(\d)\.blocks",
        r"dpt.embeddings.backbone.bit.encoder.stages.\1.layers",
    ),
    (r"pretrained\.model\.norm", "dpt.layernorm"),
    (r"pretrained\.model\.blocks", "dpt.encoder.layer"),
    (r"norm1\.(weight|bias)$", r"layernorm_before.\1"),
    (r"norm2\.(weight|bias)$", r"layernorm_after.\1"),
    (r"attn\.proj", "attention.output.dense"),
    (r"mlp\.fc1", "intermediate.dense"),
    (r"mlp\.fc2", "output.dense"),
    (r"pretrained\.act_postprocess3\.0\.project", "neck.reassemble_stage.readout_projects.2"),
    (r"pretrained\.act_postprocess4\.0\.project", "neck.reassemble_stage.readout_projects.3"),
    (r"pretrained\.act_postprocess3\.3", "neck.reassemble_stage.layers.2.projection"),
    (r"pretrained\.act_postprocess4\.3", "neck.reassemble_stage.layers.3.projection"),
    (r"pretrained\.act_postprocess4\.4", "neck.reassemble_stage.layers.3.resize"),
    (r"out_conv", "projection"),
    (r"resConfUnit(\d)\.conv", r"residual_layer\1.convolution"),
    (r"scratch\.output_conv", "head.head"),
)


def transformers_name(name: str) -> str:
    """The name in transformers of a weight of the official file."""
    if name.startswith("scratch.layer"):
        level = int(name.removeprefix("scratch.layer")[0])
        return f"neck.convs.{level - 1}.weight"
    if name.startswith("scratch.refinenet"):
        level = int(name.removeprefix("scratch.refinenet")[0])
        name = name.replace(f"scratch.refinenet{level}", f"neck.fusion_stage.layers.{4 - level}")
    backbone = ".backbone." in name
    for pattern, replacement in _RENAMES:
        if not (backbone and pattern.startswith("norm")):
            name = re.sub(pattern, replacement, name)
    return name


def for_transformers(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The official weights under the names of transformers."""
    renamed = {}
    for name, value in weights.items():
        if ".attn.qkv." in name:
            for part, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                attention = name.replace("attn.qkv", f"attention.attention.{part}")
                renamed[attention.replace("pretrained.model.blocks", "dpt.encoder.layer")] = third
        elif not name.startswith("pretrained.model.head."):
            renamed[transformers_name(name)] = value
    return renamed


def transformers_midas(weights: dict[str, Tensor]) -> Any:
    """The network of transformers, in evaluation mode, with weights of the official names."""
    from transformers import DPTConfig, DPTForDepthEstimation

    config = DPTConfig(
        is_hybrid=True,
        neck_hidden_sizes=[256, 512, 768, 768],
        readout_type="project",
        reassemble_factors=[1, 1, 1, 0.5],
        layer_norm_eps=1e-6,
        use_batch_norm_in_fusion_residual=False,
        backbone_config={
            "global_padding": "same",
            "layer_type": "bottleneck",
            "depths": [3, 4, 9],
            "out_features": ["stage1", "stage2", "stage3"],
            "embedding_dynamic_padding": True,
        },
    )
    with torch.device("meta"):
        reference = DPTForDepthEstimation(config)
    reference.load_state_dict(for_transformers(weights), strict=True, assign=True)
    return reference.eval()


def depth_at_any_size(reference: Any, images: Tensor) -> Tensor:
    """RGB (B, 3, H, W) in 0..1 -> (B, H, W): its parts in the order of its forward, which takes squares of 384 only."""
    x = 2 * images - 1
    embedding = reference.dpt.embeddings(x, interpolate_pos_encoding=True)
    hidden, hooked = embedding.last_hidden_states, []
    for index, layer in enumerate(reference.dpt.encoder.layer):
        hidden = layer(hidden)
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        if index in _HOOKED_BLOCKS:
            hooked.append(hidden)
    levels = [*embedding.intermediate_activations, *hooked]
    neck = reference.neck(levels, images.shape[2] // 16, images.shape[3] // 16)
    return reference.head(neck)

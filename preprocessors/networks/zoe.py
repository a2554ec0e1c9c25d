"""ZoeDepth: metric depth, a BEiT backbone with MiDaS's decoder and bins of distance.

Sources: Bhat et al., "ZoeDepth: Zero-shot Transfer by Combining Relative and Metric Depth" (arXiv 2302.12288); weight
names of `ZoeD_M12_N.pt` (isl-org/ZoeDepth, MIT), trained on NYU. transformers has the network; all sizes are read off
the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from .official import Ops, assemble, unwrap
from .renaming import Rules, count, rename, split

if TYPE_CHECKING:
    from transformers import BeitConfig, ZoeDepthConfig

MULTIPLE = 32

NEAREST, FARTHEST = 1e-3, 10.0
"""Metres between which the bins of the NYU network lie."""
_EXTRA_POSITIONS = 3
"""Rows of BEiT's table of positions that are about the class token."""
_BEIT = "core.core.pretrained.model"
_UNUSED = ("fc_norm.", "model.head.", "relative_position_index", "k_idx", "K_minus_1")
"""Parts of names: the classifier's, and constants that transformers makes itself."""

_ATTENTION = r"backbone.encoder.layer.\1.attention"
_RULES: Rules = (
    (r"^core\.core\.pretrained\.model\.cls_token", "backbone.embeddings.cls_token"),
    (r"^core\.core\.pretrained\.model\.patch_embed\.proj\.", "backbone.embeddings.patch_embeddings.projection."),
    (
        r"^core\.core\.pretrained\.model\.blocks\.(\d+)\.attn\.relative_position_bias_table",
        rf"{_ATTENTION}.attention.relative_position_bias.relative_position_bias_table",
    ),
    (r"^core\.core\.pretrained\.model\.blocks\.(\d+)\.attn\.proj\.", rf"{_ATTENTION}.output.dense."),
    (r"^core\.core\.pretrained\.model\.blocks\.(\d+)\.attn\.q_bias", rf"{_ATTENTION}.attention.query.bias"),
    (r"^core\.core\.pretrained\.model\.blocks\.(\d+)\.attn\.v_bias", rf"{_ATTENTION}.attention.value.bias"),
    (r"^core\.core\.pretrained\.model\.blocks\.(\d+)\.attn\.", rf"{_ATTENTION}.attention."),
    (r"^core\.core\.pretrained\.model\.blocks\.", "backbone.encoder.layer."),
    (r"(layer\.\d+)\.norm1\.", r"\1.layernorm_before."),
    (r"(layer\.\d+)\.norm2\.", r"\1.layernorm_after."),
    (r"(layer\.\d+)\.gamma_", r"\1.lambda_"),
    (r"(layer\.\d+)\.mlp\.fc1\.", r"\1.intermediate.dense."),
    (r"(layer\.\d+)\.mlp\.fc2\.", r"\1.output.dense."),
    *(
        (rf"^core\.core\.pretrained\.act_postprocess{number}\.{step}\.", f"neck.reassemble_stage.{place}.")
        for number in (1, 2, 3, 4)
        for step, place in (
            (r"0\.project", f"readout_projects.{number - 1}"),
            ("3", f"layers.{number - 1}.projection"),
            ("4", f"layers.{number - 1}.resize"),
        )
    ),
    *((rf"^core\.core\.scratch\.layer{number}_rn\.", f"neck.convs.{number - 1}.") for number in (1, 2, 3, 4)),
    *(
        (rf"^core\.core\.scratch\.refinenet{number}\.", f"neck.fusion_stage.layers.{4 - number}.")
        for number in (1, 2, 3, 4)
    ),
    (r"resConfUnit(\d)\.conv(\d)\.", r"residual_layer\1.convolution\2."),
    (r"\.out_conv\.", ".projection."),
    *(
        (rf"^core\.core\.scratch\.output_conv\.{step}\.", f"relative_head.conv{number}.")
        for number, step in enumerate((0, 2, 4), 1)
    ),
    (r"_net\.0\.", "conv1."),
    (r"_net\.2\.", "conv2."),
    (r"^(conv2|seed_|projectors|attractors|conditional_)", r"metric_head.\1"),
)


class ZoeDepth(nn.Module):
    """The whole network."""

    def __init__(self, config: ZoeDepthConfig) -> None:
        super().__init__()
        from transformers import ZoeDepthForDepthEstimation

        self.model = ZoeDepthForDepthEstimation(config)

    def forward(self, images: Tensor) -> Tensor:
        """RGB (B, 3, H, W) in 0..1, H and W multiples of 32 -> distance in metres, (B, 1, h, w)."""
        return self.model(pixel_values=images * 2 - 1).predicted_depth[:, None]


def build(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `ZoeD_M12_N.pt`. transformers' own layers are used, whatever `ops` is."""
    weights = {name: value for name, value in unwrap(state_dict).items() if not _is_unused(name)}
    try:
        config = _config(weights)
    except (KeyError, IndexError) as error:
        raise ValueError(f"The file does not fit ZoeDepth: {error} is missing.") from error
    weights = split(weights, r"attn\.qkv\.", ["attn.query.", "attn.key.", "attn.value."])
    network = assemble(
        lambda: ZoeDepth(config), {f"model.{name}": value for name, value in rename(weights, _RULES).items()}
    )
    restore_constants(network, config.bin_configurations[0]["n_bins"])
    return network


def _is_unused(name: str) -> bool:
    return any(part in name for part in _UNUSED) or name.startswith(f"{_BEIT}.norm.")


def restore_constants(network: nn.Module, bins: int) -> None:
    """Give the buffers that no file holds their values: the network was created without memory."""
    for module in network.modules():
        for name, child in module.named_children():
            if type(child).__name__ == "LogBinomialSoftmax":
                setattr(module, name, type(child)(bins, child.act))


def _config(weights: Mapping[str, Tensor]) -> ZoeDepthConfig:
    from transformers import ZoeDepthConfig

    return ZoeDepthConfig(
        backbone_config=_beit(weights),
        neck_hidden_sizes=[weights[f"core.core.pretrained.act_postprocess{n}.3.bias"].shape[0] for n in (1, 2, 3, 4)],
        fusion_hidden_size=weights["core.core.scratch.layer1_rn.weight"].shape[0],
        num_relative_features=weights["core.core.scratch.output_conv.2.bias"].shape[0],
        **bin_settings(weights, NEAREST, FARTHEST),
    )


def bin_settings(weights: Mapping[str, Tensor], nearest: float, farthest: float) -> dict[str, Any]:
    """The part of transformers' configuration about the bins of distance, read off the official names."""
    attractors = range(count(weights, r"^attractors\.(\d+)\."))
    bins = weights["seed_bin_regressor._net.2.bias"].shape[0]
    return {
        "bottleneck_features": weights["conv2.weight"].shape[1],
        "num_attractors": [weights[f"attractors.{index}._net.2.bias"].shape[0] for index in attractors],
        "bin_embedding_dim": weights["seed_projector._net.2.bias"].shape[0],
        "bin_configurations": [{"n_bins": bins, "min_depth": nearest, "max_depth": farthest}],
    }


def _beit(weights: Mapping[str, Tensor]) -> BeitConfig:
    from transformers import BeitConfig

    width, _, patch, _ = weights[f"{_BEIT}.patch_embed.proj.weight"].shape
    layers = count(weights, r"pretrained\.model\.blocks\.(\d+)\.")
    positions, heads = weights[f"{_BEIT}.blocks.0.attn.relative_position_bias_table"].shape
    cells = (math.isqrt(positions - _EXTRA_POSITIONS) + 1) // 2
    return BeitConfig(
        image_size=cells * patch,
        patch_size=patch,
        num_hidden_layers=layers,
        hidden_size=width,
        intermediate_size=weights[f"{_BEIT}.blocks.0.mlp.fc1.weight"].shape[0],
        num_attention_heads=heads,
        layer_norm_eps=1e-6,
        use_relative_position_bias=True,
        reshape_hidden_states=False,
        out_features=[f"stage{layers * quarter // 4}" for quarter in (1, 2, 3, 4)],
    )

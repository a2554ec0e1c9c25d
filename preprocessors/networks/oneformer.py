"""OneFormer with a Swin backbone, for the classes of ADE20K or COCO.

Sources: Jain et al., "OneFormer: One Transformer to Rule Universal Image Segmentation" (arXiv 2211.06220); weight
names of `250_16_swin_l_oneformer_ade20k_160k.pth` and `150_16_swin_l_oneformer_coco_100ep.pth` (SHI-Labs, MIT).
transformers has the network; all sizes are read off the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from .official import Ops, assemble, unwrap
from .renaming import Rules, count, rename, split

if TYPE_CHECKING:
    from transformers import OneFormerConfig, SwinConfig

MULTIPLE = 32

_MEAN, _DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_TASK = (49406, 518, 10549, 533, 29119, 1550, 49407)
"""CLIP's tokens of "the task is semantic"; zeros follow up to `_TASK_LENGTH`."""
_TASK_LENGTH = 77
_LEVELS = 3
"""Maps that the pixel decoder attends to."""
_POINTS = 4
"""Places that each head looks at on each map, two coordinates each."""
_UNUSED = ("criterion.", "text_encoder.", "text_projector.", "prompt_ctx.")
"""Keys of parts that only training needs."""

_SWIN, _PIXELS, _QUERIES = "pixel_level_module.encoder", "pixel_level_module.decoder", "transformer_module"
_RULES: Rules = (
    (r"^backbone\.patch_embed\.proj\.", rf"{_SWIN}.embeddings.patch_embeddings.projection."),
    (r"^backbone\.patch_embed\.norm\.", rf"{_SWIN}.embeddings.norm."),
    *((rf"^backbone\.norm{stage}\.", rf"{_SWIN}.hidden_states_norms.stage{stage + 1}.") for stage in range(4)),
    (r"^backbone\.layers\.", rf"{_SWIN}.encoder.layers."),
    (r"(blocks\.\d+)\.norm1\.", r"\1.layernorm_before."),
    (r"(blocks\.\d+)\.norm2\.", r"\1.layernorm_after."),
    (r"(blocks\.\d+)\.mlp\.fc1\.", r"\1.intermediate.dense."),
    (r"(blocks\.\d+)\.mlp\.fc2\.", r"\1.output.dense."),
    (r"(blocks\.\d+)\.attn\.proj\.", r"\1.attention.output.dense."),
    (r"(blocks\.\d+)\.attn\.", r"\1.attention.self."),
    (r"^sem_seg_head\.pixel_decoder\.", rf"{_PIXELS}."),
    (r"decoder\.(adapter|layer)_1\.norm\.", r"decoder.\1_1.1."),
    (r"decoder\.(adapter|layer)_1\.weight", r"decoder.\1_1.0.weight"),
    (r"decoder\.input_proj\.", "decoder.input_projections."),
    (r"decoder\.mask_features\.", "decoder.mask_projection."),
    (r"decoder\.transformer\.level_embed", "decoder.level_embed"),
    (r"decoder\.transformer\.encoder\.layers\.(\d+)\.linear(\d)\.", r"decoder.encoder.layers.\1.fc\2."),
    (r"decoder\.transformer\.encoder\.layers\.(\d+)\.norm1\.", r"decoder.encoder.layers.\1.self_attn_layer_norm."),
    (r"decoder\.transformer\.encoder\.layers\.(\d+)\.norm2\.", r"decoder.encoder.layers.\1.final_layer_norm."),
    (r"decoder\.transformer\.encoder\.", "decoder.encoder."),
    (r"^sem_seg_head\.predictor\.query_embed\.", rf"{_QUERIES}.queries_embedder."),
    (r"^sem_seg_head\.predictor\.level_embed\.", rf"{_QUERIES}.level_embed."),
    (r"^sem_seg_head\.predictor\.class_input_proj\.", rf"{_QUERIES}.decoder.query_input_projection."),
    (r"^sem_seg_head\.predictor\.mask_embed\.layers\.(\d)\.", rf"{_QUERIES}.decoder.mask_embed.layers.\1.0."),
    (r"^sem_seg_head\.predictor\.class_transformer\.", rf"{_QUERIES}.decoder.query_transformer."),
    (
        r"^sem_seg_head\.predictor\.transformer_(self|cross)_attention_layers\.(\d+)\.",
        rf"{_QUERIES}.decoder.layers.\2.\1_attn.",
    ),
    (r"^sem_seg_head\.predictor\.transformer_ffn_layers\.(\d+)\.", rf"{_QUERIES}.decoder.layers.\1.ffn."),
    (r"^sem_seg_head\.predictor\.", rf"{_QUERIES}.decoder."),
    (r"^task_mlp\.layers\.(\d)\.", r"task_encoder.task_mlp.layers.\1.0."),
)


class OneFormer(nn.Module):
    """The whole network, asked for a semantic segmentation."""

    def __init__(self, config: OneFormerConfig) -> None:
        super().__init__()
        from transformers import OneFormerModel

        self.model = OneFormerModel(config)

    def forward(self, images: Tensor) -> Tensor:
        """RGB (B, 3, H, W) in 0..1, H and W multiples of 32 -> how much of each class, (B, classes, H, W).

        Every query has a mask and a share of each class; the masks are enlarged before they are summed up.
        """
        mean, deviation = (images.new_tensor(values).view(3, 1, 1) / 255 for values in (_MEAN, _DEVIATION))
        task = images.new_zeros(len(images), _TASK_LENGTH)
        task[:, : len(_TASK)] = images.new_tensor(_TASK)
        found = self.model(pixel_values=(images - mean) / deviation, task_inputs=task)
        classes = found.transformer_decoder_class_predictions.float().softmax(-1)[..., :-1]
        masks = nn.functional.interpolate(
            found.transformer_decoder_mask_predictions.float(), images.shape[2:], mode="bilinear", align_corners=False
        )
        return torch.einsum("bqc,bqhw->bchw", classes, masks.sigmoid_())


def build(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of one of the two files. transformers' own layers are used, whatever `ops` is."""
    weights = {name: value for name, value in unwrap(state_dict).items() if not name.startswith(_UNUSED)}
    try:
        config = _config(weights)
    except KeyError as error:
        raise ValueError(f"The file does not fit OneFormer: {error} is missing.") from error
    weights = split(weights, r"(blocks\.\d+)\.attn\.qkv\.", [rf"\1.attn.{part}." for part in ("query", "key", "value")])
    weights = split(
        weights,
        r"(self_attention_layers\.\d+\.self_attn)\.in_proj_",
        [rf"\1.{part}_proj." for part in ("q", "k", "v")],
    )
    renamed = {f"model.{name}": value for name, value in rename(weights, _RULES).items()}
    return assemble(lambda: OneFormer(config), renamed)


def _config(weights: Mapping[str, Tensor]) -> OneFormerConfig:
    from transformers import OneFormerConfig

    pixels, predictor = "sem_seg_head.pixel_decoder", "sem_seg_head.predictor"
    hidden = weights[f"{predictor}.class_input_proj.weight"].shape[0]
    encoder = f"{pixels}.transformer.encoder.layers"
    heads = weights[f"{encoder}.0.self_attn.sampling_offsets.bias"].shape[0] // (_LEVELS * _POINTS * 2)
    return OneFormerConfig(
        backbone_config=cast(Any, _swin(weights)),
        num_labels=weights[f"{predictor}.class_embed.weight"].shape[0] - 1,
        num_queries=weights[f"{predictor}.query_embed.weight"].shape[0],
        conv_dim=weights[f"{pixels}.mask_features.weight"].shape[1],
        mask_dim=weights[f"{pixels}.mask_features.weight"].shape[0],
        hidden_dim=hidden,
        num_attention_heads=heads,
        encoder_layers=count(weights, r"pixel_decoder\.transformer\.encoder\.layers\.(\d+)\."),
        encoder_feedforward_dim=weights[f"{encoder}.0.linear1.weight"].shape[0],
        decoder_layers=count(weights, r"transformer_ffn_layers\.(\d+)\.") + 1,
        dim_feedforward=weights[f"{predictor}.transformer_ffn_layers.0.linear1.weight"].shape[0],
        query_dec_layers=count(weights, r"class_transformer\.decoder\.layers\.(\d+)\."),
        task_seq_len=weights["task_mlp.layers.0.weight"].shape[1],
        is_training=False,
        use_auxiliary_loss=False,
        output_auxiliary_logits=False,
    )


def _swin(weights: Mapping[str, Tensor]) -> SwinConfig:
    from transformers import SwinConfig

    stages = range(count(weights, r"^backbone\.layers\.(\d+)\."))
    tables = [weights[f"backbone.layers.{stage}.blocks.0.attn.relative_position_bias_table"] for stage in stages]
    width = weights["backbone.patch_embed.proj.weight"].shape[0]
    return SwinConfig(
        embed_dim=width,
        depths=[count(weights, rf"^backbone\.layers\.{stage}\.blocks\.(\d+)\.") for stage in stages],
        num_heads=[table.shape[1] for table in tables],
        window_size=(round(tables[0].shape[0] ** 0.5) + 1) // 2,
        mlp_ratio=weights["backbone.layers.0.blocks.0.mlp.fc1.weight"].shape[0] / width,
        drop_path_rate=0.0,
        out_features=[f"stage{stage + 1}" for stage in stages],
    )

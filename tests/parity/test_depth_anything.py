"""Depth Anything against the implementation of transformers, with the same random weights."""

import pytest
import torch
from zeroconv.benchmarks.models.official_weights import random_state_dict
from zeroconv.preprocessors.networks import depth_anything

RENAMES = (
    ("pretrained.cls_token", "backbone.embeddings.cls_token"),
    ("pretrained.mask_token", "backbone.embeddings.mask_token"),
    ("pretrained.pos_embed", "backbone.embeddings.position_embeddings"),
    ("pretrained.patch_embed.proj", "backbone.embeddings.patch_embeddings.projection"),
    ("pretrained.blocks", "backbone.encoder.layer"),
    ("pretrained.norm", "backbone.layernorm"),
    ("attn.proj", "attention.output.dense"),
    ("ls1.gamma", "layer_scale1.lambda1"),
    ("ls2.gamma", "layer_scale2.lambda1"),
    ("depth_head.projects.0", "neck.reassemble_stage.layers.0.projection"),
    ("depth_head.projects.1", "neck.reassemble_stage.layers.1.projection"),
    ("depth_head.projects.2", "neck.reassemble_stage.layers.2.projection"),
    ("depth_head.projects.3", "neck.reassemble_stage.layers.3.projection"),
    ("depth_head.resize_layers.0", "neck.reassemble_stage.layers.0.resize"),
    ("depth_head.resize_layers.1", "neck.reassemble_stage.layers.1.resize"),
    ("depth_head.resize_layers.3", "neck.reassemble_stage.layers.3.resize"),
    ("depth_head.scratch.layer1_rn", "neck.convs.0"),
    ("depth_head.scratch.layer2_rn", "neck.convs.1"),
    ("depth_head.scratch.layer3_rn", "neck.convs.2"),
    ("depth_head.scratch.layer4_rn", "neck.convs.3"),
    ("depth_head.scratch.refinenet1", "neck.fusion_stage.layers.3"),
    ("depth_head.scratch.refinenet2", "neck.fusion_stage.layers.2"),
    ("depth_head.scratch.refinenet3", "neck.fusion_stage.layers.1"),
    ("depth_head.scratch.refinenet4", "neck.fusion_stage.layers.0"),
    ("out_conv", "projection"),
    ("resConfUnit1.conv", "residual_layer1.convolution"),
    ("resConfUnit2.conv", "residual_layer2.convolution"),
    ("depth_head.scratch.output_conv1", "head.conv1"),
    ("depth_head.scratch.output_conv2.0", "head.conv2"),
    ("depth_head.scratch.output_conv2.2", "head.conv3"),
)


def for_transformers(weights):
    renamed = {}
    for name, value in weights.items():
        parts = {name: value}
        if ".attn.qkv." in name:
            thirds = zip(("query", "key", "value"), value.chunk(3), strict=True)
            parts = {name.replace("attn.qkv", f"attention.attention.{part}"): third for part, third in thirds}
        for part, third in parts.items():
            for old, new in RENAMES:
                part = part.replace(old, new)
            renamed[part] = third
    return renamed


@pytest.fixture(scope="module", params=["V1", "V2"])
def networks(request):
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    torch.set_num_threads(1)
    weights = random_state_dict("depth_anything_v2_vits")
    build = {"V1": depth_anything.build_v1, "V2": depth_anything.build_v2}[request.param]
    stages = {"V1": [9, 10, 11, 12], "V2": [3, 6, 9, 12]}[request.param]
    backbone = Dinov2Config(
        hidden_size=384,
        num_attention_heads=6,
        image_size=518,
        patch_size=14,
        out_features=[f"stage{stage}" for stage in stages],
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=384,
        neck_hidden_sizes=[48, 96, 192, 384],
        fusion_hidden_size=64,
        head_in_channels=64,
    )
    with torch.device("meta"):
        reference = DepthAnythingForDepthEstimation(config)
    reference.load_state_dict(for_transformers(weights), strict=True, assign=True)
    return build(weights), reference.eval()


def both(networks, size):
    ours, reference = networks
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        expected = reference((images - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)).predicted_depth
        got = ours(images)[:, 0]
    assert expected.std() > 1e-3
    return got, expected


@pytest.mark.parametrize("size", [(98, 140), (224, 126)])
def test_depth_equals_transformers_at_any_size(networks, size, monkeypatch):
    """Up to the 0.1 cell that DINOv2 adds when it enlarges positions, and that transformers leaves out."""
    monkeypatch.setattr(networks[0].pretrained, "offset", 0.0)
    got, expected = both(networks, size)
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_the_offset_of_the_positions_is_a_detail(networks):
    got, expected = both(networks, (98, 140))
    assert (got - expected).abs().max() < 0.2 * (expected.max() - expected.min())
    assert not torch.equal(got, expected)


def test_depth_equals_transformers_at_the_size_it_was_trained_at(networks):
    ours, reference = networks
    images = torch.rand(1, 3, 518, 518, generator=torch.Generator().manual_seed(1))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        expected = reference((images - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)).predicted_depth
        got = ours(images)[:, 0]
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))

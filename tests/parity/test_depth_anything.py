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
    ("mlp.w12", "mlp.weights_in"),
    ("mlp.w3", "mlp.weights_out"),
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


FARTHEST = {"indoor": 20.0, "outdoor": 80.0}
"""Metres: Hypersim's and Virtual KITTI's, as their authors train the metric networks."""


def transformers_network(size: depth_anything.Size, weights, farthest: float | None):
    """The network of transformers with the same weights, at any of the sizes."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    backbone = Dinov2Config(
        hidden_size=size.width,
        num_attention_heads=size.heads,
        num_hidden_layers=size.depth,
        image_size=518,
        patch_size=14,
        out_features=[f"stage{hook + 1}" for hook in size.hooks_v2],
        reshape_hidden_states=False,
        apply_layernorm=True,
        use_swiglu_ffn=size.gated,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=size.width,
        patch_size=14,
        neck_hidden_sizes=list(size.levels),
        fusion_hidden_size=size.features,
        head_in_index=-1,
        depth_estimation_type="relative" if farthest is None else "metric",
        max_depth=farthest or 1,
    )
    with torch.device("meta"):
        reference = DepthAnythingForDepthEstimation(config)
    reference.load_state_dict(for_transformers(weights), strict=True, assign=True)
    return reference.eval()


def assert_equal(ours, reference, size: tuple[int, int]) -> None:
    ours.pretrained.offset = 0.0
    images = torch.rand(3, 3, *size, generator=torch.Generator().manual_seed(2))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        expected = reference((images - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)).predicted_depth
        got = ours(images)[:, 0]
    assert expected.std() > 1e-3
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("size", [(98, 140), (126, 70), (70, 70)])
@pytest.mark.parametrize("scene", FARTHEST)
def test_metric_depth_equals_transformers(scene, size):
    weights = random_state_dict("depth_anything_v2_vits")
    build = {"indoor": depth_anything.build_indoor, "outdoor": depth_anything.build_outdoor}[scene]
    ours = build(weights)
    assert_equal(ours, transformers_network(depth_anything.SIZES[384], weights, FARTHEST[scene]), size)
    assert ours(torch.rand(1, 3, 70, 70)).max() <= FARTHEST[scene]


def test_giants_gated_layers_equal_transformers():
    """With all that is Giant's own, narrower and with fewer blocks: the whole has 5 GB."""
    size = depth_anything.Size(96, 4, 4, 32, (96, 96, 96, 96), (0, 1, 2, 3), (0, 1, 2, 3), gated=True)
    ours = depth_anything.DepthAnything(size, size.hooks_v2).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in ours.parameters():
        scale = max(1, parameter[0].numel()) ** -0.5 if parameter.dim() > 1 else 0.1
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    weights = {**ours.state_dict(), "pretrained.mask_token": torch.zeros(1, 96)}
    assert_equal(ours, transformers_network(size, weights, None), (98, 140))


def test_giant_has_the_shapes_of_its_authors_configuration():
    """dinov2.py's `vit_giant2` and run.py's `vitg`: 1536 wide, 24 heads, 40 blocks, gated; 384 features."""
    with torch.device("meta"):
        giant = depth_anything.DepthAnything(depth_anything.SIZES[1536], depth_anything.SIZES[1536].hooks_v2)
    shapes = {name: tuple(value.shape) for name, value in giant.state_dict().items()}
    assert shapes["pretrained.blocks.39.mlp.w12.weight"] == (8192, 1536)
    assert shapes["pretrained.blocks.39.mlp.w3.weight"] == (1536, 4096)
    assert shapes["depth_head.scratch.layer4_rn.weight"] == (384, 1536, 3, 3)
    assert giant.hooks == (9, 19, 29, 39)
    rebuilt = depth_anything.build_v2(dict(giant.state_dict()))
    assert rebuilt.hooks == giant.hooks

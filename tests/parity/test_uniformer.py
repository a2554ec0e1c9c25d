"""UniFormer-S with UPerNet: the head against transformers, the blocks against their formulas written out."""

import re

import pytest
import torch
from zeroconv.benchmarks.models.official_weights import random_state_dict
from zeroconv.preprocessors.networks import uniformer
from zeroconv.preprocessors.networks.official import assemble


@pytest.fixture(scope="module")
def weights():
    torch.set_num_threads(1)
    return random_state_dict("uniformer_upernet_global_small")


def test_the_head_equals_transformers(weights):
    from transformers import UperNetConfig
    from transformers.models.upernet.modeling_upernet import UperNetHead

    head = {n.removeprefix("decode_head."): v for n, v in weights.items() if n.startswith("decode_head.")}
    ours = assemble(lambda: uniformer.UperHead(torch.nn), head)
    reference = UperNetHead(
        UperNetConfig(hidden_size=512, pool_scales=[1, 2, 3, 6], num_labels=150), [64, 128, 320, 512]
    ).eval()
    renamed = {
        re.sub(r"\.bn\.", ".batch_norm.", name).replace("conv_seg", "classifier"): value for name, value in head.items()
    }
    reference.load_state_dict(renamed, strict=True)
    generator = torch.Generator().manual_seed(1)
    sizes = [(24, 40), (12, 20), (6, 10), (3, 5)]
    maps = [
        torch.randn(2, width, *size, generator=generator)
        for width, size in zip((64, 128, 320, 512), sizes, strict=True)
    ]
    with torch.no_grad():
        torch.testing.assert_close(ours(maps), reference(maps), rtol=1e-4, atol=1e-4)


def layer_norm(x, weights, name, eps):
    """Over the channels of (B, C, H, W)."""
    mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, correction=0)
    scale, shift = (weights[f"{name}.{part}"].view(-1, 1, 1) for part in ("weight", "bias"))
    return (x - mean) / (variance + eps).sqrt() * scale + shift


def batch_norm(x, weights, name):
    mean, variance, scale, shift = (
        weights[f"{name}.{part}"].view(-1, 1, 1) for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (variance + 1e-5).sqrt() * scale + shift


def convolve(x, weights, name, **options):
    kernel = weights[f"{name}.weight"]
    kernel = kernel[..., None, None] if kernel.dim() == 2 else kernel
    return torch.nn.functional.conv2d(x, kernel, weights[f"{name}.bias"], **options)


def attention(x, weights, name, head_width=64):
    """Softmax of q k / sqrt(64) over all places of the map, head by head."""
    q, k, v = convolve(x, weights, f"{name}.qkv").flatten(2).chunk(3, dim=1)
    heads = []
    for start in range(0, q.shape[1], head_width):
        part = slice(start, start + head_width)
        scores = q[:, part].transpose(1, 2) @ k[:, part] / head_width**0.5
        heads.append(v[:, part] @ scores.softmax(-1).transpose(1, 2))
    return convolve(torch.cat(heads, 1).view(x.shape), weights, f"{name}.proj")


def mlp(x, weights, name):
    return convolve(torch.nn.functional.gelu(convolve(x, weights, f"{name}.fc1")), weights, f"{name}.fc2")


def written_out(x, weights):
    """The backbone as the paper describes it and the annotator's configuration sets it (arXiv 2201.09450, 3.1)."""
    maps = []
    for stage, depth in enumerate((3, 4, 8, 3), 1):
        embed, patch = f"backbone.patch_embed{stage}", 4 if stage == 1 else 2
        x = layer_norm(convolve(x, weights, f"{embed}.proj", stride=patch), weights, f"{embed}.norm", 1e-5)
        for index in range(depth):
            name = f"backbone.blocks{stage}.{index}"
            x = x + convolve(x, weights, f"{name}.pos_embed", padding=1, groups=x.shape[1])
            if stage <= 2:
                y = convolve(batch_norm(x, weights, f"{name}.norm1"), weights, f"{name}.conv1")
                y = convolve(y, weights, f"{name}.attn", padding=2, groups=x.shape[1])
                x = x + convolve(y, weights, f"{name}.conv2")
                x = x + mlp(batch_norm(x, weights, f"{name}.norm2"), weights, f"{name}.mlp")
            else:
                x = x + attention(layer_norm(x, weights, f"{name}.norm1", 1e-6), weights, f"{name}.attn")
                x = x + mlp(layer_norm(x, weights, f"{name}.norm2", 1e-6), weights, f"{name}.mlp")
        maps.append(layer_norm(x, weights, f"backbone.norm{stage}", 1e-6))
    return maps


def test_the_backbone_equals_its_formulas(weights):
    network = uniformer.build(weights)
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    mean, deviation = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    normal = (255 * images - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    with torch.no_grad():
        expected = network.decode_head(written_out(normal, weights))
        got = network(images)
    assert expected.shape == (2, 150, 16, 24)
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)

"""OneFormer and ZoeDepth against the numbers of their authors' own code.

That code needs packages that no index carries, so its answers are kept: `support/outputs/*_small.safetensors` is what
the networks of ControlNet v1.1's annotators (annotator/oneformer; controlnet-aux 0.0.10 with timm 0.6.13) make of the
same weights and pictures, at a small width with all parts, every few pixels. `*_small.tsv` lists their own names of
the weights.
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from zeroconv.benchmarks.models.official_weights import random_state_dict
from zeroconv.preprocessors.networks import oneformer, zoe

OUTPUTS = Path(__file__).parents[1] / "support" / "outputs"
WINDOW = 4
"""Window of the small Swin network."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def pictures(sizes: list[tuple[int, int]]) -> list[torch.Tensor]:
    """Noise in whole grey levels, (1, 3, H, W) in 0..1, the same for both sides."""
    generator = torch.Generator().manual_seed(1)
    return [(torch.rand(3, *size, generator=generator) * 255).round()[None] / 255 for size in sizes]


def positions_within(window: int) -> torch.Tensor:
    """Swin's table index of each pair of cells of a window: by row distance, then column distance."""
    rows, columns = torch.arange(window**2) // window, torch.arange(window**2) % window
    down, right = rows[:, None] - rows, columns[:, None] - columns
    return (down + window - 1) * (2 * window - 1) + right + window - 1


def test_oneformer_equals_its_authors_network() -> None:
    expected = load_file(OUTPUTS / "oneformer_small.safetensors")
    weights = random_state_dict("oneformer_small")
    for name in weights:
        if name.endswith("relative_position_index"):
            weights[name] = positions_within(WINDOW)
    network = oneformer.build({"model": weights})
    for picture in pictures([(64, 96), (96, 160)]):
        with torch.inference_mode():
            shares = network(picture)[0]
        height, width = picture.shape[2:]
        assert shares.shape == (150, height, width)
        torch.testing.assert_close(shares[::7, ::8, ::8], expected[f"{height}x{width}"], rtol=0, atol=2e-6)


def test_zoe_equals_its_authors_network() -> None:
    """Also away from the square that it was trained on, where the table of positions is stretched."""
    expected = load_file(OUTPUTS / "zoe_small.safetensors")
    network = zoe.build({"model": random_state_dict("zoe_small")})
    for picture in pictures([(96, 160), (128, 96)]):
        with torch.inference_mode():
            depth = network(picture)[0]
        height, width = picture.shape[2:]
        assert depth.shape == (1, height, width)
        torch.testing.assert_close(depth[:, ::4, ::4], expected[f"{height}x{width}"], rtol=0, atol=2e-6)


@pytest.mark.parametrize(("module", "name"), [(oneformer, "oneformer_small"), (zoe, "zoe_small")])
def test_a_batch_is_its_pictures_one_by_one_and_half_precision_runs(module, name) -> None:
    network = module.build({"model": random_state_dict(name)})
    batch = torch.cat([*pictures([(64, 96)]), torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(2))])
    with torch.inference_mode():
        together = network(batch)
        torch.testing.assert_close(together, torch.cat([network(one[None]) for one in batch]), rtol=0, atol=1e-5)
        assert (network.half()(batch.half()).float() - together).abs().mean() < 1e-2

"""The networks for lines and edges, and the methods on them."""

import pytest
import torch
from zeroconv.benchmarks.models.official_weights import golden_state_dict, random_state_dict
from zeroconv.preprocessors.networks import (
    hed,
    lineart,
    lineart_anime,
    manga_line,
    mlsd,
    pidinet,
    teed,
)

BUILDS = {
    "hed": hed.build,
    "pidinet": pidinet.build,
    "teed": teed.build,
    "lineart": lineart.build,
    "lineart_anime": lineart_anime.build,
    "manga_line": manga_line.build,
    "mlsd_large": mlsd.build_large,
    "mlsd_tiny": mlsd.build_tiny,
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", BUILDS)
def test_official_weights_fit_strictly(name):
    network = BUILDS[name](golden_state_dict(name))
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("name", BUILDS)
def test_a_file_without_one_weight_or_with_one_more_is_refused(name):
    weights = golden_state_dict(name)
    needed = [key for key in weights if not key.endswith("num_batches_tracked")]
    for key in needed[:: max(1, len(needed) // 20)]:
        with pytest.raises(ValueError, match=r"does not fit|not PiDiNet's official file"):
            BUILDS[name]({other: value for other, value in weights.items() if other != key})
    with pytest.raises(ValueError, match="does not fit"):
        BUILDS[name]({**weights, "more.weight": torch.zeros(1)})


@pytest.mark.parametrize("name", BUILDS)
def test_the_wrappers_of_training_are_taken_off(name):
    wrapped = {"state_dict": {f"module.{key}": value for key, value in golden_state_dict(name).items()}}
    expected = BUILDS[name](golden_state_dict(name)).state_dict().keys()
    assert BUILDS[name](wrapped).state_dict().keys() == expected


@pytest.mark.parametrize("name", [name for name in BUILDS if name != "lineart_anime"])
def test_a_batch_equals_one_by_one_and_stays_in_range(name):
    network = BUILDS[name](random_state_dict(name))
    images = torch.rand(3, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    together = network(images)
    one_by_one = torch.cat([network(image[None]) for image in images])
    assert (together - one_by_one).norm() <= 5e-5 * one_by_one.norm()
    assert together.dtype == torch.float32
    if name.startswith("mlsd"):
        assert together.shape == (3, 5, 16, 24)
    else:
        assert together.shape == (3, 1, 32, 48)
        assert together.min() >= 0
        assert together.max() <= 1
        assert together.std() > 0.01


@pytest.mark.parametrize("name", ["hed", "pidinet", "teed", "lineart", "manga_line", "mlsd_large"])
def test_half_precision_gives_float32_near_the_same(name):
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    exact = BUILDS[name](random_state_dict(name))(images)
    half = BUILDS[name](random_state_dict(name)).to(torch.bfloat16)(images.bfloat16())
    assert half.dtype == torch.float32
    assert (half - exact).abs().mean() < 0.05


def test_layers_come_from_the_given_operations():
    made = []

    class Recording(torch.nn.Conv2d):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            made.append(self)

    class Ops:
        Conv2d = Recording
        ConvTranspose2d = torch.nn.ConvTranspose2d

    for name, build in BUILDS.items():
        made.clear()
        network = build(golden_state_dict(name), Ops)
        convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
        assert {id(module) for module in convolutions} == {id(module) for module in made}, name


def test_a_folded_pidinet_file_is_refused():
    folded = pidinet.fold_differences(golden_state_dict("pidinet"))
    with pytest.raises(ValueError, match="expected a 3x3 kernel"):
        pidinet.build(folded)


def test_smish_is_the_paper_formula():
    x = torch.linspace(-20, 20, 401, dtype=torch.float64)
    torch.testing.assert_close(teed.smish(x), x * torch.tanh(torch.log(1 + torch.sigmoid(x))))


def manga_reference(weights, images):
    """The published network, written out from the names of its weights."""
    functional = torch.nn.functional

    def convolution(name, x, stride=1):
        statistics = [weights[f"{name}.model.0.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        x = functional.leaky_relu(functional.batch_norm(x, *statistics, eps=1e-3), 0.2)
        kernel = weights[f"{name}.model.2.weight"]
        return functional.conv2d(x, kernel, weights[f"{name}.model.2.bias"], stride, kernel.shape[-1] // 2)

    def stage(index, x, count, resized, scale):
        for block in range(count):
            name = f"block{index}.model.{block}"
            stride = 2 if block == resized and scale < 1 else 1
            y, shortcut = convolution(f"{name}.conv1", x, stride), f"{name}.shortcut.model.0.weight"
            if shortcut in weights:
                x = functional.conv2d(x, weights[shortcut], weights[f"{name}.shortcut.model.0.bias"], stride)
            if block == resized and scale > 1:
                x, y = (functional.interpolate(z, scale_factor=2, mode="nearest") for z in (x, y))
            x = convolution(f"{name}.residual", y) + x
        return x

    x, kept = (images * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True) * 255, []
    for index, count in enumerate((2, 3, 5, 7, 12)):
        x = stage(index, x, count, count - 1, 0.5 if index else 1)
        kept.append(x)
    for index, count in enumerate((7, 5, 3, 2), 5):
        x = stage(index, x, count, 0, 2) + kept[8 - index]
    return 1 - (convolution("conv15", stage(9, x, 2, 0, 1)) / 255).clamp(0, 1)


def test_manga_line_is_the_published_network():
    weights = random_state_dict("manga_line")
    # Bring the answer into the range of grey, so that the comparison sees more than black and white.
    weights["conv15.model.2.weight"] *= 0.02
    weights["conv15.model.2.bias"] += 127
    images = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    lines = manga_line.build(weights)(images)
    assert ((lines > 0.01) & (lines < 0.99)).float().mean() > 0.3
    torch.testing.assert_close(lines, manga_reference(weights, images), rtol=0, atol=1e-4)

"""Packs that sample in tiles, run with our control and with core's: their folders are named by variables."""

from dataclasses import replace

import pytest
import torch
from support.comfy_host import import_host, small_model
from support.measures import relative_error
from support.other_packs import load_pack, load_pack_file

import_host()

import comfy.controlnet  # isort: skip
from support.sampling import Run, core, hint, ours, prompts, sample
from zeroconv.controlnet.strength.mask import Mask
from zeroconv.host.conditioning import Unit, apply_unit
from zeroconv.host.settings import with_factors

RUN = Run(steps=2, height=128, width=128)


@pytest.fixture(scope="module")
def model():
    return small_model(64)


def masked(control, mask):
    return with_factors(control, "mask", lambda factors: replace(factors, mask=Mask(mask)))


def left_half():
    mask = torch.zeros(1, 128, 128)
    mask[..., :64] = 1
    return mask


# Tiled Diffusion


METHODS = ["MultiDiffusion", "Mixture of Diffusers", "SpotDiffusion"]


@pytest.fixture(scope="module")
def tiled_diffusion():
    return load_pack("TILED_DIFFUSION_DIR", "tiled_diffusion_beside").NODE_CLASS_MAPPINGS["TiledDiffusion"]


def in_tiles(node, model, method, side=64, overlap=0, at_once=2):
    (tiled,) = node().apply(model, method, side, side, overlap, at_once)
    return tiled


@pytest.mark.parametrize("method", METHODS)
def test_tiled_diffusion_as_with_cores_control(model, tiled_diffusion, method):
    tiled, picture = in_tiles(tiled_diffusion, model, method), hint(1, 128, 128)
    torch.manual_seed(0)
    expected = sample(tiled, [Unit(core(1), picture)], RUN)
    torch.manual_seed(0)
    given = sample(in_tiles(tiled_diffusion, model, method), [Unit(ours(1), picture)], RUN)
    free = sample(in_tiles(tiled_diffusion, model, method), [], RUN)
    assert relative_error(given, expected) <= 1e-3 * max(1, relative_error(free, expected))
    assert relative_error(given, free) > 0.01


def test_tiled_diffusion_cuts_the_mask(model, tiled_diffusion):
    """Tiles of the right half get no control, those of the left half all of it."""
    tiled, picture = in_tiles(tiled_diffusion, model, "MultiDiffusion"), hint(1, 128, 128)
    half = sample(tiled, [Unit(masked(ours(1), left_half()), picture)], RUN)
    whole = sample(in_tiles(tiled_diffusion, model, "MultiDiffusion"), [Unit(ours(1), picture)], RUN)
    free = sample(in_tiles(tiled_diffusion, model, "MultiDiffusion"), [], RUN)
    assert relative_error(half[..., :8], whole[..., :8]) <= 1e-4
    assert relative_error(half[..., 8:], free[..., 8:]) <= 1e-4
    assert relative_error(whole, free) > 0.01


def test_one_tile_is_no_tile(model, tiled_diffusion):
    picture, control = hint(1, 128, 128), masked(ours(1), left_half())
    plain = sample(model, [Unit(control, picture)], RUN)
    tiled = in_tiles(tiled_diffusion, model, "MultiDiffusion", side=128)
    assert relative_error(sample(tiled, [Unit(control, picture)], RUN), plain) <= 1e-4


# Tiled KSampler


def ksampler(node, model, control, picture, strategy):
    positive, negative = apply_unit(Unit(control, picture), *prompts()) if control else prompts()
    latent = {"samples": torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(2))}
    with torch.inference_mode():
        (out,) = node().sample(
            model, 5, 256, 256, strategy, 1, 4.0, "euler", "normal", positive, negative, latent, 0.5
        )  # fmt: skip
    return out["samples"]


@pytest.mark.parametrize("strategy", ["simple", "padded"])
def test_tiled_ksampler_as_with_cores_control(model, strategy, monkeypatch):
    # The pack reads `device`, which today's core has no more; ours has it.
    monkeypatch.setattr(comfy.controlnet.ControlNet, "device", torch.device("cpu"), raising=False)
    node = load_pack("TILED_KSAMPLER_DIR", "tiled_ksampler_beside").NODE_CLASS_MAPPINGS["BNK_TiledKSampler"]
    picture = hint(1, 512, 512)
    expected, given, free = (ksampler(node, model, control, picture, strategy) for control in (core(1), ours(1), None))
    assert relative_error(given, expected) <= 1e-3 * max(1, relative_error(free, expected))
    assert relative_error(given, free) > 0.01


def test_tiled_ksampler_cuts_the_mask(model):
    """Tiles where the mask is white are as without it, those where it is black as without a control."""
    node = load_pack("TILED_KSAMPLER_DIR", "tiled_ksampler_beside").NODE_CLASS_MAPPINGS["BNK_TiledKSampler"]
    picture, mask = hint(1, 512, 512), torch.zeros(1, 512, 512)
    mask[..., :256] = 1
    controls = (masked(ours(1), mask), ours(1), None)
    half, whole, free = (ksampler(node, model, control, picture, "simple") for control in controls)
    assert relative_error(half[..., :32], whole[..., :32]) <= 1e-4
    assert torch.equal(half[..., 32:], free[..., 32:])
    assert relative_error(whole[..., 32:], free[..., 32:]) > 0.01


def test_tiled_ksampler_spreads_no_control_into_black_tiles(model):
    """Its padded tiles lie across the mask's edge too; what they spread ends with them, half a tile further."""
    node = load_pack("TILED_KSAMPLER_DIR", "tiled_ksampler_beside").NODE_CLASS_MAPPINGS["BNK_TiledKSampler"]
    picture, mask = hint(1, 512, 512), torch.zeros(1, 512, 512)
    mask[..., :256] = 1
    half, free = (ksampler(node, model, control, picture, "padded") for control in (masked(ours(1), mask), None))
    assert torch.equal(half[..., 48:], free[..., 48:])
    assert relative_error(half[..., 32:48], free[..., 32:48]) > 0.01


# Ultimate SD Upscale


@pytest.mark.parametrize("regions", [(0, 0, 64, 64), [(0, 0, 64, 64), (64, 0, 128, 64), (64, 64, 128, 128)]])
def test_ultimate_sd_upscale_cuts_hint_and_mask(model, regions):
    """What the pack makes of a conditioning, sampled as its tiles are."""
    crop_cond = load_pack_file("USDU_DIR", "usdu_utils.py").crop_cond
    picture, mask = hint(1, 128, 128), torch.rand(1, 128, 128, generator=torch.Generator().manual_seed(1))
    given = apply_unit(Unit(masked(ours(1), mask), picture), *prompts())
    cropped = tuple(crop_cond(side, regions, (128, 128), (128, 128), (64, 64)) for side in given)
    boxes = regions if isinstance(regions, list) else [regions]
    run = Run(steps=2, batch=len(boxes))
    tiles = sample(model, [], run, cropped)
    parts = [(picture[:, t:b, left:r], mask[:, t:b, left:r]) for left, t, r, b in boxes]
    units = [Unit(masked(ours(1), torch.cat([m for _, m in parts])), torch.cat([p for p, _ in parts]))]
    expected = sample(model, units, run)
    assert relative_error(tiles, expected) <= 1e-4
    assert relative_error(tiles, sample(model, [Unit(ours(1), units[0].image)], run)) > 1e-3

"""Shape Video Control: control that comes through the conditioning acts as strong, when and where it is told."""

import importlib
import inspect
import itertools

import pytest
import torch
from support.comfy_host import import_host
from support.dit_models import dit_model, dit_prompts, sample_dit

import_host()

import comfy.context_windows as context_windows
import comfy.latent_formats
from zeroconv.controlnet.strength.per_item import ItemStrengths
from zeroconv.controlnet.strength.schedule import Schedule
from zeroconv.host.video_control import LTX_COMPRESSION, VideoShape, shape_video_control
from zeroconv.nodes.control.video_control import ZeroConvShapeVideoControl

KINDS = ["wan vace", "wan fun"]
STEPS, OWN = 4, 0.8


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def nothing(channels):
    """The latent that ComfyUI's nodes give where there is no control."""
    return comfy.latent_formats.Wan21().process_out(torch.zeros(1, channels, 3, 8, 12))


CONTROL = {
    "wan vace": {
        "vace_frames": [draw(1, 32, 3, 8, 12, seed=1)],
        "vace_mask": [torch.ones(1, 64, 3, 8, 12)],
        "vace_strength": [OWN],
    },
    "wan fun": {"concat_latent_image": torch.cat([draw(1, 16, 3, 8, 12, seed=2), nothing(16)], dim=1)},
}
NONE = {
    "wan vace": {**CONTROL["wan vace"], "vace_strength": [0.0]},
    "wan fun": {"concat_latent_image": torch.cat([nothing(16), nothing(16)], dim=1)},
}
GUIDE = {"pre_filter_count": 3 * 2 * 4, "strength": 0.5, "pixel_mask": None, "latent_shape": (3, 2, 4)}


@pytest.fixture(scope="module")
def models():
    return {name: dit_model(name) for name in KINDS}


def with_control(settings):
    return tuple([[text, {**given, **settings}] for text, given in prompt] for prompt in dit_prompts())


def latents(name, models, settings, **shape):
    prompts = with_control(settings)
    if shape:
        prompts = tuple(shape_video_control(VideoShape(**shape), prompt) for prompt in prompts)
    return sample_dit(name, models[name], [], steps=STEPS, prompts=prompts)


@pytest.mark.parametrize("name", KINDS)
def test_range_schedule_and_mask_as_of_every_control(name, models):
    whole, none = latents(name, models, CONTROL[name]), latents(name, models, NONE[name])
    assert not torch.equal(whole, none)
    assert torch.equal(latents(name, models, CONTROL[name], strength=0.0), none)
    assert torch.equal(latents(name, models, CONTROL[name], start=0.9995), none)
    assert torch.equal(latents(name, models, CONTROL[name], mask=torch.zeros(1, 64, 96)), none)
    assert torch.equal(latents(name, models, CONTROL[name], mask=torch.ones(1, 64, 96)), whole)
    assert torch.equal(latents(name, models, CONTROL[name], schedule=Schedule.parse("0: 1")), whole)
    assert torch.equal(latents(name, models, CONTROL[name], schedule=Schedule.parse("0: 0")), none)
    assert torch.equal(latents(name, models, CONTROL[name], frames=ItemStrengths.parse("0: 1")), whole)
    left = torch.ones(1, 64, 96)
    left[..., 48:] = 0
    parts = [
        latents(name, models, CONTROL[name], **shape)
        for shape in (
            {"end": 0.5},
            {"mask": left},
            {"schedule": Schedule.parse("0: 1, 1: 0")},
            {"frames": ItemStrengths.parse("4:9 = 0")},
            {"strength": 0.5},
        )
    ]
    assert all(torch.isfinite(part).all() for part in parts)
    assert not any(torch.equal(part, other) for part in parts for other in (whole, none))


def test_vaces_strength_is_the_number_that_its_own_node_gives(models):
    own = {**CONTROL["wan vace"], "vace_strength": [OWN * 0.5]}
    mine = latents("wan vace", models, CONTROL["wan vace"], strength=0.5)
    assert torch.equal(mine, latents("wan vace", models, own))


def test_a_range_is_that_of_two_conditionings_of_comfyui(models):
    """ComfyUI's ConditioningSetTimestepRange, by hand."""
    first, second = with_control(CONTROL["wan vace"]), with_control(NONE["wan vace"])
    parts = [
        [[text, {**given, "start_percent": start, "end_percent": end}] for text, given in prompt]
        for prompts, start, end in ((first, 0.0, 0.4), (second, 0.4, 1.0))
        for prompt in prompts
    ]
    by_hand = sample_dit(
        "wan vace", models["wan vace"], [], steps=STEPS, prompts=(parts[0] + parts[2], parts[1] + parts[3])
    )
    assert torch.equal(latents("wan vace", models, CONTROL["wan vace"], end=0.4), by_hand)


def in_windows(model):
    """Context windows of ComfyUI along the time of a video, of two frames each."""
    schedule = context_windows.get_matching_context_schedule("standard_static")
    fuse = context_windows.get_matching_fuse_method("pyramid")
    windowed = model.clone()
    windowed.model_options["context_handler"] = context_windows.IndexListContextHandler(
        context_schedule=schedule, fuse_method=fuse, context_length=2, context_overlap=1, dim=2
    )
    context_windows.create_prepare_sampling_wrapper(windowed)
    return windowed


@pytest.mark.skipif("vace_context" not in inspect.getsource(context_windows), reason="this ComfyUI cuts no VACE")
def test_in_context_windows_strength_is_cores_and_vaces_mask_says_why_not(models):
    windowed = {name: in_windows(model) for name, model in models.items()}
    own = {**CONTROL["wan vace"], "vace_strength": [OWN * 0.5]}
    mine = latents("wan vace", windowed, CONTROL["wan vace"], strength=0.5)
    assert torch.equal(mine, latents("wan vace", windowed, own))
    assert not torch.equal(mine, latents("wan vace", models, own))
    left = torch.ones(1, 64, 96)
    left[..., 48:] = 0
    with pytest.raises(ValueError, match="With VACE in context windows leave mask and frames out"):
        latents("wan vace", windowed, CONTROL["wan vace"], mask=left)
    masked = latents("wan fun", windowed, CONTROL["wan fun"], mask=left)
    others = (latents("wan fun", windowed, settings["wan fun"]) for settings in (CONTROL, NONE))
    assert not any(torch.equal(masked, other) for other in others)


def test_a_reference_image_of_vace_keeps_its_strength():
    latent = CONTROL["wan vace"]["vace_frames"][0].clone()
    latent[:, 16:, :1] = nothing(16)[:, :, :1]
    mask = torch.ones(1, 64, 3, 8, 12)
    mask[:, :, :1] = 0
    given = [[None, {"vace_frames": [latent], "vace_mask": [mask], "vace_strength": [1.0]}]]
    ((_, settings),) = shape_video_control(VideoShape(mask=torch.zeros(1, 8, 8)), given)
    scaled = torch.ones(2, 3 * 4 * 6, 5) * settings["vace_strength"][0]
    assert torch.equal(scaled[:, : 4 * 6], torch.ones(2, 4 * 6, 5))
    assert not scaled[:, 4 * 6 :].any()


def test_a_frame_of_the_latent_gets_the_mean_of_its_own_frames():
    strengths = [1.0, 0.0, 0.25, 0.5, 0.25, 1.0, 1.0, 0.0, 0.0]
    named = ItemStrengths.parse(", ".join(f"{frame}: {value}" for frame, value in enumerate(strengths)))
    weights = VideoShape(frames=named).weights(3, 4, (1, 1))
    assert weights.flatten().tolist() == [1.0, 0.25, 0.5]


def test_masks_for_frames_hold_the_last():
    masks = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1)
    weights = VideoShape(mask=masks).weights(2, 4, (1, 1))
    assert weights.flatten().tolist() == [0.0, (0.5 + 1 + 1 + 1) / 4]


def test_guides_are_weighted_over_time_frames_and_picture():
    given = [[None, {"guide_attention_entries": [GUIDE]}]]
    mask = torch.ones(1, 2, 4)
    mask[..., 2:] = 0.5
    frames = ItemStrengths.parse("1:9 = 0.5")
    shaped = shape_video_control(VideoShape(0.5, end=0.5, mask=mask, frames=frames), given)
    (acting,), (resting,) = ([s["guide_attention_entries"][0] for _, s in (entry,)] for entry in shaped)
    assert (acting["strength"], resting["strength"]) == (0.25, 0.0)
    assert GUIDE["pixel_mask"] is None
    expected = torch.stack([mask[0], mask[0] * 0.5, mask[0]])
    assert torch.equal(acting["pixel_mask"][0, 0], expected)
    model = importlib.import_module("comfy.ldm.lightricks.model").LTXVModel
    if hasattr(model, "_downsample_mask_to_latent"):  # as the host reads it, from 0.33 on
        seen = model._downsample_mask_to_latent(acting["pixel_mask"], *GUIDE["latent_shape"])
        assert torch.equal(seen, expected.reshape(1, -1))
    assert LTX_COMPRESSION == 8


def test_parts_of_the_sampling_do_not_meet_nor_gape():
    given = [[None, {**CONTROL["wan vace"], "start_percent": 0.1, "end_percent": 0.9}]]
    shaped = shape_video_control(VideoShape(start=0.3, end=0.6), given)
    ranges = [(s["start_percent"], s["end_percent"], s["vace_strength"][0]) for _, s in shaped]
    assert [strength for _, _, strength in ranges] == [0.0, OWN, 0.0]
    assert (ranges[0][0], ranges[-1][1]) == (0.1, 0.9)
    for (_, end, _), (start, _, _) in itertools.pairwise(ranges):
        assert 0 < start - end < 1e-4


def test_what_is_not_a_control_is_left_alone_and_an_absent_one_is_told():
    plain = [[None, {"concat_latent_image": torch.zeros(1, 16, 3, 8, 12)}]]
    with pytest.raises(ValueError, match="holds no video control that Shape Video Control knows"):
        shape_video_control(VideoShape(0.5), plain)
    both = [*plain, [None, dict(CONTROL["wan vace"])]]
    assert shape_video_control(VideoShape(0.5), both)[0][1]["concat_latent_image"] is plain[0][1]["concat_latent_image"]
    assert shape_video_control(VideoShape(), both) is both
    with pytest.raises(ValueError, match="after its end"):
        VideoShape(start=0.8, end=0.2)


def test_the_node_changes_both_prompts_and_nothing_that_it_is_given():
    prompts = with_control(CONTROL["wan vace"])
    node = ZeroConvShapeVideoControl
    shaped = node.execute(*prompts, 0.5, 0.0, 1.0, "0:5 = 0.5", mask=torch.ones(1, 8, 8)).args
    assert all(prompt[0][1]["vace_strength"][0].strength == OWN * 0.5 for prompt in shaped)
    assert all(prompt[0][1]["vace_strength"] == [OWN] for prompt in prompts)

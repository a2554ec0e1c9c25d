"""SparseCtrl in the host's contract: hints on frames of a video, all of which its network sees together."""

import pytest
import torch
from support.comfy_host import import_host, small_model
from support.formats import tensors
from support.layouts import animatediff, sparse_ctrl
from support.measures import relative_error

import_host()

from support.hosted import Vae
from support.sampling import Run, hint, sample
from zeroconv.controlnet.formats.sparse_ctrl import SPARSE_CTRL
from zeroconv.controlnet.hint.fit import Fit
from zeroconv.controlnet.hint.order import parse_frames
from zeroconv.controlnet.networks.build import build_sparse_ctrl
from zeroconv.controlnet.networks.controlnet import Inputs
from zeroconv.controlnet.strength.per_item import ItemStrengths
from zeroconv.host.conditioning import Unit, apply_unit
from zeroconv.host.controls.control import Control
from zeroconv.host.controls.sparse_ctrl import SparseCtrlRunner
from zeroconv.host.loading.load import load_network
from zeroconv.host.preview import hints_as_seen
from zeroconv.host.settings import with_factors, with_fit
from zeroconv.nodes.hint.fit import ZeroConvFitHint

FRAMES, SIDE = 4, 64
RUN = Run(steps=2, batch=FRAMES)


@pytest.fixture(scope="module")
def model():
    return small_model(32)


def control_of(network):
    return Control(SparseCtrlRunner(network))


def load(weights, name):
    return load_network(SPARSE_CTRL.convert(weights, None), name, build=build_sparse_ctrl)


@pytest.fixture(scope="module")
def loaded():
    """By name, one network each; the temporal layers as weak as trained ones, or noise drowns the picture."""
    made = {}
    for name, rgb in (("rgb", True), ("scribble", False)):
        weights = tensors(animatediff(sparse_ctrl(rgb))(), seed=3)
        made[name] = load(weights, name)
    return made


def pictures(count=1):
    return hint(count, SIDE, SIDE)


def residuals(loaded, video, model):
    """Residuals of the network alone, for a whole video of hints, computed here."""
    context = torch.randn(2, 77, 768, generator=torch.Generator().manual_seed(5)).repeat_interleave(FRAMES, 0)
    x = torch.zeros(2 * FRAMES, 4, SIDE // 8, SIDE // 8)
    inputs = Inputs(x, torch.full((2 * FRAMES,), 500.0), groups=2, uniform_time=True)
    network = loaded.network
    with torch.inference_mode():
        return network(inputs, network.embed_hint(video), network.project_context(context)), context


@pytest.mark.parametrize("frames", ["", "3", "-2"])
@pytest.mark.parametrize("name", ["rgb", "scribble"])
def test_a_hint_goes_to_its_frame_and_the_others_are_empty(loaded, model, name, frames):
    vae, picture = Vae(4), pictures()
    control = with_fit(control_of(loaded[name]), Fit(), "one each", frames=parse_frames(frames))
    control = control.copy().set_cond_hint(picture.movedim(-1, 1), vae=vae)
    place = int(frames or 0) % FRAMES
    pixels = picture.movedim(-1, 1)
    seen = pixels if name == "scribble" else vae.encode(picture) * 0.18215
    video = torch.zeros(FRAMES, 4 if name == "scribble" else 5, *seen.shape[-2:])
    video[place] = torch.cat([seen[0], torch.ones_like(seen[0, :1])])
    expected, context = residuals(loaded[name], video, model)

    base = model.model
    control.pre_run(base, base.model_sampling.percent_to_sigma)
    sigma = base.model_sampling.sigma(torch.tensor(500.0))
    x = torch.randn(FRAMES, 4, SIDE // 8, SIDE // 8).repeat(2, 1, 1, 1)
    with torch.inference_mode():
        given = control.get_control(x, sigma.expand(2 * FRAMES), {"c_crossattn": context}, 2, {})
        mine = [*given["output"], *given["middle"]]
    for a, b in zip(mine, [*expected.output, *expected.middle], strict=True):
        assert relative_error(a, b) <= 1e-5


def test_it_steers_a_sampling_and_the_hint_is_seen_once(loaded, model):
    vae = Vae(4)
    unit = Unit(control_of(loaded["rgb"]), pictures(2), vae=vae)
    controlled, plain = sample(model, [unit], RUN), sample(model, [], RUN)
    assert vae.calls == 1
    assert relative_error(controlled, plain) > 1e-3
    assert torch.equal(sample(model, [Unit(control_of(loaded["rgb"]), pictures(2), 0.0, vae=vae)], RUN), plain)


def test_two_of_one_network_are_two_videos(loaded, model):
    """The layers along the time must not see one as a later part of the other."""
    again = load_network(
        SPARSE_CTRL.convert(tensors(animatediff(sparse_ctrl(False))(), seed=3), None), "again", build=build_sparse_ctrl
    )
    latents = [
        sample(
            model,
            [
                Unit(control_of(loaded["scribble"]), pictures()),
                Unit(control_of(second), hint(seed=8)),
            ],
            RUN,
        )
        for second in (loaded["scribble"], again)
    ]
    assert relative_error(latents[0], latents[1]) <= 1e-6


def test_frames_of_strength_zero_stay_in_the_video(loaded, model):
    """The others are controlled as if all were."""
    whole = control_of(loaded["scribble"])
    items = ItemStrengths.parse("1: 0")
    less = with_factors(whole, "items", lambda factors: type(factors)(items=items))
    a, b, plain = (sample(model, units, RUN) for units in ([Unit(whole, pictures())], [Unit(less, pictures())], []))
    others = [0, 2, 3]
    assert relative_error(b[others], a[others]) <= 1e-5
    assert torch.equal(b[1], plain[1])


def test_the_preview_shows_hints_on_their_frames(loaded):
    control = with_fit(control_of(loaded["scribble"]), Fit(), "one each", frames=(1, -1))
    conditioning = [[torch.zeros(1, 77, 768), {}]]
    positive, _ = apply_unit(Unit(control, pictures(2)), conditioning, conditioning)
    (seen,) = hints_as_seen(positive, torch.zeros(FRAMES, 4, SIDE // 8, SIDE // 8))
    assert [bool(frame.any()) for frame in seen] == [False, True, False, True]
    assert torch.equal(seen[[1, 3]], pictures(2))


@pytest.mark.parametrize(
    ("name", "frames", "hints", "run", "said"),
    [
        ("rgb", (), 1, RUN, r"VAE to .*Apply"),
        ("scribble", (0, 1), 1, RUN, "names 2 frames for 1 hint"),
        ("scribble", (4,), 1, RUN, "frames 4, but the video has the frames 0 to 3"),
        ("scribble", (1, -3), 2, RUN, "Name each of them once"),
        ("scribble", (), 1, Run(steps=1, batch=33), "at most 32 frames, but the latent batch has 33"),
    ],
)
def test_mistakes_are_said(loaded, model, name, frames, hints, run, said):
    control = with_fit(control_of(loaded[name]), Fit(), "one each", frames=frames)
    with pytest.raises(ValueError, match=said):
        sample(model, [Unit(control, pictures(hints))], run)


def test_frames_are_for_videos_alone(model):
    from support.sampling import ours

    with pytest.raises(ValueError, match="is not a SparseCtrl"):
        ZeroConvFitHint.execute(ours(1), "crop", "edges", "one each", frames="0, 8")

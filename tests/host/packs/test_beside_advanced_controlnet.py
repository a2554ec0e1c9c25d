"""Stand-ins beside Advanced-ControlNet's own nodes: the same sampling by the same weights; ACN_DIR names its folder."""

import asyncio

import pytest
import torch
from safetensors.torch import save_file
from support.comfy_host import import_host, small_model
from support.other_packs import load_pack

import_host()

import folder_paths
from support.dit_models import dit_model, dit_prompts, sample_dit
from support.model_patches import here, metadata, tensors
from support.sampling import Run, core, hint, ours, prompts, sample
from zeroconv.nodes.stand_ins.advanced_controlnet import CONTROLNETS

ROWS = {row.id: row for row in CONTROLNETS}
APPLY = "ACN_AdvancedControlNetApply_v2"
STEPS = Run(steps=6, batch=2)


@pytest.fixture(scope="module")
def theirs():
    """The pack's nodes by id."""
    extension = asyncio.run(load_pack("ACN_DIR", "advanced_controlnet_beside").comfy_entrypoint())
    return {node.define_schema().node_id: node for node in asyncio.run(extension.get_node_list())}


@pytest.fixture(scope="module")
def model():
    return small_model(64)


def test_the_inputs_are_theirs(theirs):
    for name, row in ROWS.items():
        if name not in theirs:
            continue
        schema = theirs[name].define_schema()
        declared = [item for item in schema.inputs if item.get_io_type() != "ACNAUTOSIZE"]
        assert [item.id for item in row.inputs] == [item.id for item in declared], name
        for mine, item in zip(row.inputs, declared, strict=True):
            assert mine.type == item.get_io_type(), (name, mine.id)
            assert mine.optional == bool(item.optional), (name, mine.id)
            if mine.listing is None and mine.is_widget:
                default = getattr(item, "default", None)
                choices = getattr(item, "options", None)
                assert mine.default == pytest.approx(default if default is not None or not choices else choices[0]), (
                    name,
                    mine.id,
                )
                assert list(mine.choices) == (choices or []), (name, mine.id)
                for key, bound in (("min", mine.minimum), ("max", mine.maximum)):
                    assert getattr(item, key, None) == bound, (name, mine.id, key)
        assert [kind for kind, _ in row.outputs] == [out.get_io_type() for out in schema.outputs], name
        assert [label for _, label in row.outputs] == [out.display_name or out.id for out in schema.outputs], name


class Pair:
    """A graph of their nodes and the same of ours."""

    def __init__(self, theirs):
        self.theirs = theirs

    def __call__(self, name, **values):
        """Both nodes with the same inputs: values of pairs go to their side each. Gives all outputs as pairs."""
        one = {key: value[0] if isinstance(value, Both) else value for key, value in values.items()}
        other = {key: value[1] if isinstance(value, Both) else value for key, value in values.items()}
        expected = self.theirs[name].execute(**one).args
        row = ROWS[name]
        given = row.run(**row.complete(other))
        return [Both(pair) for pair in zip(expected, given, strict=True)]


class Both(tuple):
    """A value of theirs and the same of ours."""


@pytest.fixture
def pair(theirs):
    return Pair(theirs)


GRAPHS = {
    "plain": lambda pair: {"strength": 0.8, "start_percent": 0.1, "end_percent": 0.7},
    "mask": lambda pair: {"mask_optional": half()},
    "soft": lambda pair: {"weights_override": pair("ACN_ScaledSoftControlNetWeights", base_multiplier=0.7)[0]},
    "negative": lambda pair: {
        "weights_override": pair("ACN_ScaledSoftControlNetWeights", base_multiplier=0.9, uncond_multiplier=0.3)[0]
    },
    "custom": lambda pair: {"weights_override": custom(pair)},
    "middle": lambda pair: {
        "weights_override": pair(
            "ACN_DefaultUniversalWeights", cn_extras=pair("ACN_ExtrasMiddleMult", middle_mult=2.0)[0]
        )[0]
    },
    "shortcut": lambda pair: {"timestep_kf": pair("ACN_ScaledSoftControlNetWeights", base_multiplier=0.6)[1]},
    "keyframes": lambda pair: {"timestep_kf": keyframes(pair)},
    "fading": lambda pair: {
        "timestep_kf": pair(
            "ACN_TimestepKeyframeInterpolation", start_percent=0.0, end_percent=0.8, strength_start=1.0,
            strength_end=0.0, interpolation="ease-out", intervals=40,
        )[0]
    },
    "list": lambda pair: {
        "timestep_kf": pair(
            "ACN_TimestepKeyframeFromStrengthList", float_strengths=[1.0, 0.5, 0.0, 0.25], start_percent=0.0,
            end_percent=1.0,
        )[0]
    },
    "latents": lambda pair: {
        "latent_kf_override": pair(
            "LatentKeyframe", batch_index=-1, strength=0.5,
            prev_latent_kf=pair("LatentKeyframe", batch_index=0, strength=1.0)[0],
        )[0]
    },
    "latents by text": lambda pair: {
        "latent_kf_override": pair("LatentKeyframeGroup", index_strengths="1=0.7", print_keyframes=False)[0]
    },
    "latents between": lambda pair: {
        "latent_kf_override": pair(
            "LatentKeyframeTiming", batch_index_from=0, batch_index_to_excl=2, strength_from=0.2, strength_to=0.9,
            interpolation="ease-in-out",
        )[0]
    },
    "unnamed": lambda pair: {
        "timestep_kf": pair(
            "TimestepKeyframe", start_percent=0.0, null_latent_kf_strength=0.4,
            latent_keyframe=pair("LatentKeyframe", batch_index=1, strength=1.0)[0],
        )[0]
    },
}  # fmt: skip


def half():
    """A mask that means the same however it is brought to the residuals' sizes."""
    mask = torch.zeros(1, 64, 64)
    mask[..., :32] = 1
    return mask


def custom(pair):
    values = {f"output_{number}": 0.1 * number for number in range(12)}
    return pair("ACN_CustomControlNetWeightsSD15", **values, middle_0=0.6)[0]


def keyframes(pair):
    """Weights, latents and a mask that change on the way."""
    (soft, _) = pair("ACN_ScaledSoftControlNetWeights", base_multiplier=0.6)
    (latent,) = pair("LatentKeyframe", batch_index=1, strength=0.8)
    mask = half()
    (first,) = pair("TimestepKeyframe", start_percent=0.0, strength=0.9, cn_weights=soft, guarantee_steps=1)
    (second,) = pair(
        "TimestepKeyframe", start_percent=0.35, strength=0.6, latent_keyframe=latent, null_latent_kf_strength=0.3,
        prev_timestep_kf=first, guarantee_steps=1,
    )  # fmt: skip
    (third,) = pair(
        "TimestepKeyframe", start_percent=0.7, strength=1.0, mask_optional=mask, prev_timestep_kf=second,
        inherit_missing=False, guarantee_steps=1,
    )  # fmt: skip
    return third


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_sampling_is_theirs(pair, model, graph):
    positive, negative = prompts()
    values = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0, **GRAPHS[graph](pair)}
    outputs = pair(
        APPLY, positive=positive, negative=negative, control_net=Both((core(1), ours(1))), image=hint(), **values
    )
    expected, given = (sample(model, [], STEPS, [output[side] for output in outputs]) for side in (0, 1))
    free = sample(model, [], STEPS)
    apart = float((given - expected).norm() / (expected - free).norm())
    assert apart < 2e-3, apart


@pytest.mark.skipif("anima lllite" not in here(), reason="this ComfyUI has no ControlNet-LLLite of Anima")
@pytest.mark.parametrize("name", ["anima lllite", "anima lllite inpaint"])
def test_anima_is_theirs(pair, name, tmp_path, monkeypatch):
    """Their loader, weights for each block and the mask of what is to be painted anew."""
    save_file(
        {key: value.contiguous() for key, value in tensors(name).items()}, tmp_path / "a.safetensors", metadata(name)
    )
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "model_patches", ([str(tmp_path)], {".safetensors"}))
    (control,) = pair("ACN_AnimaLLLiteLoaderAdvanced", model_patch="a.safetensors")
    hole = torch.zeros(1, 64, 96)
    hole[:, 16:40, :50] = 1
    (extras,) = pair("ACN_AnimaLLLiteExtras", inpaint_mask=hole)
    # The model has 3 blocks, not 28: theirs takes the first weights, ours the first, the middle and the last.
    by_block = dict.fromkeys(range(28), 1.0) | {0: 0.3, 2: 0.6, 27: 0.6}
    values = {f"block_{number}": weight for number, weight in by_block.items()}
    more = {"cn_extras": extras} if "inpaint" in name else {}
    weights = pair("ACN_CustomControlNetWeightsAnima", **values, uncond_multiplier=0.5, **more)[0]
    positive, negative = dit_prompts()
    outputs = pair(
        APPLY, positive=positive, negative=negative, control_net=control, image=hint(1, 64, 96), strength=0.8,
        start_percent=0.0, end_percent=1.0, weights_override=weights,
    )  # fmt: skip
    model = dit_model("anima")
    expected, given = (
        sample_dit("anima", model, [], 2, prompts=tuple(output[side] for output in outputs)) for side in (0, 1)
    )
    free = sample_dit("anima", model, [], 2)
    apart = float((given - expected).norm() / (expected - free).norm())
    assert apart < 2e-3, apart

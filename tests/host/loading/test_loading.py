"""Files of the controlnet folder through the loader: what is listed, which rule of pooling a control gets."""

import json
import weakref

import pytest
import torch
from safetensors.torch import save_file
from support.comfy_host import small_model
from support.formats import KINDS, tensors
from support.hosted import FAMILIES
from support.networks import dimensions, random_network
from support.sampling import comfy
from zeroconv.controlnet.networks.build import build_controlnet
from zeroconv.controlnet.networks.controlnet import Inputs
from zeroconv.controlnet.strength.cfg_weights import CfgWeights
from zeroconv.host.controls.controlnet import ControlNetRunner
from zeroconv.host.loading import load as loading
from zeroconv.host.loading.precision import Choice

PROMPT_SIDE = CfgWeights(1, 0)


@pytest.fixture(scope="module")
def weights():
    return dict(random_network(dimensions("SD1.5", 32)).state_dict())


def rule(control):
    return control.global_average_pooling, control.settings.factors.cfg_weights


@pytest.mark.parametrize(
    ("name", "choice", "expected"),
    [
        ("control_shuffle.safetensors", "auto", (True, PROMPT_SIDE)),
        ("control_shuffle.safetensors", "off", (False, None)),
        ("control_canny.safetensors", "auto", (False, None)),
        ("control_canny.safetensors", "on", (True, PROMPT_SIDE)),
        ("control_canny.safetensors", "on, both prompts", (True, None)),
    ],
)
def test_pooling_is_chosen_or_found(controlnet_folder, weights, name, choice, expected):
    save_file(weights, controlnet_folder / name)
    control = loading.load_control(name, pooling=choice)
    assert rule(control) == expected
    assert rule(control.copy()) == expected


def test_a_diffusers_folder_is_listed_once_and_loads_whole(controlnet_folder):
    model = controlnet_folder / "shuffle-diffusers"
    model.mkdir()
    content = tensors(KINDS["diffusers sd15"].shapes(), torch.float16)
    keys = list(content)
    for number in (1, 2):
        part = {key: content[key] for key in keys[number - 1 :: 2]}
        save_file(part, model / f"diffusion_pytorch_model-{number:05d}-of-00002.safetensors")
    (model / "config.json").write_text(json.dumps({"_class_name": "ControlNetModel", "global_pool_conditions": True}))
    (name,) = loading.list_controlnets()
    control = loading.load_control(name)
    assert isinstance(control.runner, ControlNetRunner)
    assert rule(control) == (True, PROMPT_SIDE)
    assert loading.inspect_control(name).pooled_by == "config.json"


def residuals(network, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 4, 8, 8, generator=generator).to(dtype)
    hint, context = torch.rand(1, 3, 64, 64, generator=generator), torch.randn(1, 5, 768, generator=generator)
    with torch.no_grad():
        embedded, projected = network.embed_hint(hint.to(dtype)), network.project_context(context.to(dtype))
        result = network(Inputs(x, torch.tensor([400.0])), embedded, projected)
    return [tensor.float() for tensor in (*result.output, *result.middle)]


@pytest.mark.parametrize(
    ("dtype", "half_step", "smallest"),
    [(torch.float8_e4m3fn, 2**-4, 2**-10), (torch.float8_e5m2, 2**-3, 2**-17)],
    ids=["e4m3", "e5m2"],
)
def test_fp8_files_differ_by_the_rounding_of_their_weights_alone(
    controlnet_folder, weights, dtype, half_step, smallest
):
    """half_step: largest relative rounding error. smallest: half of the smallest number of the format."""
    stored = {key: value.to(dtype) for key, value in weights.items()}
    save_file(stored, controlnet_folder / "small.safetensors")
    loaded = loading.load_control("small.safetensors").runner.loaded
    for key, value in loaded.network.state_dict().items():
        assert ((value.float() - weights[key]).abs() <= half_step * weights[key].abs() + smallest).all()
    rounded = build_controlnet({key: value.float() for key, value in stored.items()})
    tolerance = 1e-5 if loaded.dtype == torch.float32 else 3e-2
    for mine, other in zip(residuals(loaded.network, loaded.dtype), residuals(rounded), strict=True):
        assert torch.linalg.norm(mine - other) <= tolerance * torch.linalg.norm(other)


def test_8_bits_stay_where_the_host_computes_from_them(controlnet_folder, weights, monkeypatch):
    kinds = {key: torch.float8_e4m3fn if value.dim() > 1 else torch.float16 for key, value in weights.items()}
    save_file({key: value.to(kinds[key]) for key, value in weights.items()}, controlnet_folder / "small.safetensors")
    management = comfy.model_management
    monkeypatch.setattr(management, "unet_dtype", lambda **_: torch.float8_e4m3fn)
    monkeypatch.setattr(management, "unet_manual_cast", lambda *_: torch.float32)
    loaded = loading.load_control("small.safetensors").runner.loaded
    held = loaded.network.state_dict()
    assert loaded.dtype == torch.float32
    assert all(held[key].dtype == kinds[key] for key in kinds if kinds[key] != torch.float16)
    assert all(held[key].dtype == torch.float32 for key in kinds if kinds[key] == torch.float16)


def test_the_base_of_a_difference_has_the_models_loras():
    """Whether they are in its weights at this moment depends on what ran before; the base that is read must not."""
    model = small_model(32).clone()
    before = {key: value.clone() for key, value in loading.unet_weights(model).items()}
    key = "diffusion_model.middle_block.1.proj_in.weight"
    own = key.removeprefix("diffusion_model.")
    model.add_patches({key: ("diff", (torch.ones_like(before[own]),))}, 0.5)
    waiting = loading.unet_weights(model)
    comfy.model_management.load_models_gpu([model])
    patched = model.model.diffusion_model.state_dict()[own].clone()
    assert not torch.equal(patched, before[own]), "the patch must be in"
    inside = loading.unet_weights(model)
    model.unpatch_model()
    for read in (waiting, inside):
        torch.testing.assert_close(read[own], patched)
        assert read.keys() == before.keys()
        assert all(torch.equal(read[name], value) for name, value in before.items() if name != own)


@pytest.mark.parametrize("kind", ["e4m3fn", "e5m2"])
def test_auto_keeps_8_bits_where_the_host_is_told_to(weights, monkeypatch, kind):
    """As with `--fp8_e4m3fn-unet` on its command line. Biases and norms keep what is computed with."""
    monkeypatch.setattr(comfy.model_management.args, f"fp8_{kind}_unet", True)
    loaded = loading.load_network(dict(weights))
    assert comfy.model_management.unet_dtype() == getattr(torch, f"float8_{kind}")
    kinds = {value.dtype for value in loaded.network.parameters() if value.dim() > 1}
    assert kinds == {comfy.model_management.unet_dtype()}
    assert {value.dtype for value in loaded.network.parameters() if value.dim() == 1} == {loaded.dtype}
    for mine, other in zip(residuals(loaded.network, loaded.dtype), residuals(build_controlnet(weights)), strict=True):
        assert torch.linalg.norm(mine - other) <= 0.5 * torch.linalg.norm(other)


@pytest.mark.parametrize("flag", ["fp32_unet", "fp64_unet", "bf16_unet", "fp16_unet"])
def test_auto_keeps_what_the_host_is_told_to(weights, monkeypatch, flag):
    monkeypatch.setattr(comfy.model_management.args, flag, True)
    loaded = loading.load_network(dict(weights))
    assert {value.dtype for value in loaded.network.parameters()} == {comfy.model_management.unet_dtype()}


@pytest.mark.parametrize(
    ("precision", "dtype", "share", "error"),
    [
        ("fp32", torch.float32, 1.0, 0.0),
        ("bf16", torch.bfloat16, 0.5, 0.03),
        ("fp16", torch.float16, 0.5, 0.004),
        ("fp8", torch.float32, 0.27, 0.25),
    ],
)
def test_precision_is_as_asked(controlnet_folder, weights, precision, dtype, share, error):
    """TensorCache and exactness of each: some units in the last place of a weight, which small ones in 8 bits lack."""
    save_file(weights, controlnet_folder / "canny.safetensors")
    exact = loading.load_control("canny.safetensors")
    control = loading.load_control("canny.safetensors", precision=precision)
    assert control.runner.loaded.dtype == dtype
    assert control.runner.loaded.patcher.model_size() <= share * exact.runner.loaded.patcher.model_size()
    for mine, other in zip(
        residuals(control.runner.loaded.network, dtype), residuals(exact.runner.loaded.network), strict=True
    ):
        assert torch.linalg.norm(mine - other) <= error * torch.linalg.norm(other)
        assert (precision == "fp32") == torch.equal(mine, other)


def test_the_hosts_own_networks_keep_their_precision(controlnet_folder):
    save_file(FAMILIES["flux xlabs"].tensors(), controlnet_folder / "hosted.safetensors")
    with pytest.raises(ValueError, match="set 'bf16' to 'auto'"):
        loading.load_control("hosted.safetensors", precision="bf16")


def test_weights_are_cast_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of only one tensor are the numbers as stored and as kept in memory at the same time."""
    choice = Choice(torch.float16, torch.float16, None, torch.device("cpu"))
    tensors = {str(number): torch.ones(100) for number in range(20)}
    stored = [weakref.ref(value) for value in tensors.values()]
    seen, real = [], torch.Tensor.to

    def to(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        seen.append(sum(ref() is not None for ref in stored))
        return real(value, dtype)

    monkeypatch.setattr(torch.Tensor, "to", to)
    cast = choice.cast(tensors)
    assert all(left <= 20 - number + 1 for number, left in enumerate(seen))
    assert len(seen) == 20
    assert {value.dtype for value in cast.values()} == {torch.float16}

"""Every kind of control file is claimed by exactly one format, and every one of its tensors is accounted for."""

import json
import math

import pytest
import torch
from support.formats import KINDS
from zeroconv.controlnet.formats import FORMATS, load_ldm_state_dict, load_tensors
from zeroconv.controlnet.formats.inspect import inspect_file
from zeroconv.controlnet.formats.scaled import plain
from zeroconv.controlnet.networks.layers import torch_attention

PATCH_KINDS = ("qwen_blockwise", "z_image", "anima_lllite", "uni3c")
COMFY_KINDS = ("comfy_controlnet", "stable_cascade")
BUILT = {form.kind for form in FORMATS if form.build is not None}
NEEDY = [name for name, kind in KINDS.items() if kind.needs_base or kind.needs_controlnet]
RUN_ALONE = [name for name, kind in KINDS.items() if kind.kind in BUILT and name not in NEEDY]
REFUSED = r"does not fit|incomplete|no 8-bit weight|equal levels|not a ControlNet that"
DTYPES = {torch.float16: "F16", torch.float32: "F32", torch.bfloat16: "BF16"}
DROPPED_BESIDE = "ldm whole checkpoint"


def written(shapes, path, dtype=torch.float16):
    """A file of zeros in these shapes, which takes no room; matrices that have a scale are stored in float8."""
    scaled = {key.replace(".scale_weight", ".weight") for key in shapes if key.endswith(".scale_weight")}
    header, end = {}, 0
    for key, shape in shapes.items():
        name, size = ("F8_E4M3", 1) if key in scaled else (DTYPES[dtype], dtype.itemsize)
        begin, end = end, end + size * math.prod(shape)
        header[key] = {"dtype": name, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    return path


def build(path):
    form, loaded = load_tensors(path)
    return form.build(loaded, torch.nn, torch_attention)


@pytest.mark.parametrize("name", KINDS)
def test_exactly_one_format_claims_it(name):
    shapes = plain(KINDS[name].shapes())
    assert [form.id for form in FORMATS if form.recognise(shapes)] == [KINDS[name].format]


def test_formats_have_names_of_their_own_and_something_that_runs_them():
    assert len({form.id for form in FORMATS}) == len(FORMATS)
    assert {form.kind for form in FORMATS} == {*BUILT, *COMFY_KINDS, *PATCH_KINDS, ""}
    assert all(form.needs for form in FORMATS if not form.kind)


def test_every_format_has_a_file_in_the_matrix():
    assert {form.id for form in FORMATS} == {kind.format for kind in KINDS.values()}


def test_what_runs_a_kind_is_what_its_format_says():
    kinds = {form.id: form.kind for form in FORMATS}
    assert {name: kinds[kind.format] for name, kind in KINDS.items()} == {n: k.kind for n, k in KINDS.items()}


def test_every_family_that_the_host_runs_is_in_the_matrix():
    from support.hosted import EVERY_FAMILY
    from support.model_patches import PATCHES

    assert {name for name, kind in KINDS.items() if kind.kind in PATCH_KINDS} == set(PATCHES)
    kinds = {name: kind.format for name, kind in KINDS.items() if kind.kind in COMFY_KINDS}
    assert kinds == {name: family.format for name, family in EVERY_FAMILY.items()}


@pytest.mark.parametrize("name", KINDS)
def test_inspection_tells_family_and_needs(name, tmp_path):
    kind = KINDS[name]
    report = inspect_file(written(kind.shapes(), tmp_path / "file.safetensors"))
    if not kind.kind:
        assert report.needs
        assert report.needs in str(report)
        return
    assert (report.family, report.needs) == (kind.family, "")
    assert (report.needs_base, report.needs_controlnet) == (kind.needs_base, kind.needs_controlnet)
    assert kind.family in str(report)


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if not kind.kind])
def test_files_for_other_nodes_are_refused_with_what_they_need(name, tmp_path):
    path = written(KINDS[name].shapes(), tmp_path / "file.safetensors")
    with pytest.raises(ValueError, match=r"file\.safetensors.*This file is (a|an|one) .*(use|Put|put)"):
        load_tensors(path)


@pytest.mark.parametrize("name", RUN_ALONE)
def test_every_stored_number_is_in_the_network(name, tmp_path):
    stored = {key: value for key, value in KINDS[name].shapes().items() if name != DROPPED_BESIDE or is_own(key)}
    network = build(written(KINDS[name].shapes(), tmp_path / "file.safetensors"))
    held = sum(value.numel() for value in network.state_dict().values())
    assert held == sum(torch.Size(shape).numel() for shape in plain(stored).values())


def is_own(key):
    return key.startswith("control_model.")


@pytest.mark.parametrize("name", RUN_ALONE)
def test_no_key_is_silently_missing_or_left_over(name, tmp_path):
    shapes = KINDS[name].shapes()
    own = [key for key in plain(shapes) if name != DROPPED_BESIDE or is_own(key)]
    prefix = "control_model." if all(is_own(key) for key in own) else ""
    lacking = [own[index * len(own) // 5] for index in range(5)]
    for number, key in enumerate(lacking):
        path = written({k: v for k, v in shapes.items() if k != key}, tmp_path / f"{number}.safetensors")
        with pytest.raises(ValueError, match=REFUSED):
            build(path)
    path = written(shapes | {f"{prefix}middle_block_out.7.weight": (3,)}, tmp_path / "more.safetensors")
    with pytest.raises(ValueError, match=r"1 unknown tensors|changes the layer 'middle_block_out'"):
        build(path)


def test_two_names_for_one_part_are_refused(tmp_path):
    shapes = KINDS["ldm union"].shapes()
    twice = shapes | {"transformer_layes.0.attn.in_proj.weight": shapes["transformer_layes.0.attn.in_proj_weight"]}
    with pytest.raises(ValueError, match="same part"):
        load_tensors(written(twice, tmp_path / "twice.safetensors"))


def test_an_adapter_is_no_controlnet_to_train_from(tmp_path):
    path = written(KINDS["t2i-adapter grey"].shapes(), tmp_path / "adapter.safetensors")
    with pytest.raises(ValueError, match=r"adapter\.safetensors.*T2I-Adapter; a ControlNet is needed"):
        load_ldm_state_dict(path)


def test_what_a_checkpoint_holds_beside_is_left_out_aloud(tmp_path, caplog):
    shapes = KINDS["ldm whole checkpoint"].shapes()
    load_tensors(written(shapes, tmp_path / "known.safetensors"))
    assert not caplog.records
    load_tensors(written(shapes | {"mystery.weight": (2,)}, tmp_path / "strange.safetensors"))
    assert "mystery.weight" in caplog.text


def test_an_unknown_file_tells_the_nearest_kind_and_why_not(tmp_path):
    shapes = KINDS["ldm sd15"].shapes()
    del shapes["zero_convs.0.0.weight"]
    with pytest.raises(ValueError, match=r"resembles a ControlNet, LDM layout, but lacks 'zero_convs\.0\.0\.weight'"):
        inspect_file(written(shapes, tmp_path / "nearly.safetensors"))


STRANGERS = {
    "a family after ours": (
        {f"control_blocks.{index}.mix.weight": (64, 6144) for index in range(7)},
        "control of 7 blocks with tokens of 6144 channels, as those of Flux.2",
        "Load Model Patch",
    ),
    "a Fun ControlNet of another base": (
        {
            "control_img_in.weight": (32, 99),
            "control_blocks.0.before_proj.weight": (32, 32),
            "control_blocks.0.after_proj.weight": (32, 32),
        },
        r"resembles a Fun ControlNet, but lacks 'control_blocks\.0\.attn\.to_q\.weight'",
        "Load Model Patch",
    ),
    "a ControlNet of another transformer": (
        {
            "controlnet_blocks.0.weight": (3072, 3072),
            "x_embedder.weight": (3072, 64),
            "context_embedder.weight": (3072, 9),
        },
        "resembles a Flux ControlNet, but lacks 'controlnet_x_embedder.weight'",
        "Load ControlNet Model",
    ),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_is_told_what_it_looks_like_and_what_may_run_it(name, tmp_path):
    shapes, looks, node = STRANGERS[name]
    with pytest.raises(ValueError, match=f"{looks}.*{node} of the newest ComfyUI may run it"):
        inspect_file(written(shapes, tmp_path / "stranger.safetensors"))


def test_a_file_without_any_control_is_given_no_guess(tmp_path):
    with pytest.raises(ValueError, match=r"not a ControlNet that ZeroConv knows") as caught:
        inspect_file(written({"blocks.0.weight": (8, 8)}, tmp_path / "other.safetensors"))
    assert "resembles" not in str(caught.value)
    assert "may run" not in str(caught.value)

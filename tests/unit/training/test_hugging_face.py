"""Tables of Hugging Face data sets as pairs: the files that their library and their hub write."""

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image
from zeroconv.training.pairs import hugging_face
from zeroconv.training.pairs.layouts import read_folder

IMAGE = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
"""How the feature `Image` of huggingface/datasets lies in a table."""
COUNT = 5


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (12, 16, 3), np.uint8)


def png(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def table(first: int = 0, **changes: object) -> pyarrow.Table:
    """Rows as fill50k has them on the hub; `changes`: columns in place of these, None to leave one out."""
    rows = range(first, first + COUNT)
    columns = {
        "image": pyarrow.array([{"bytes": png(pixels(n)), "path": f"{n}.png"} for n in rows], IMAGE),
        "conditioning_image": pyarrow.array([{"bytes": png(pixels(1000 + n)), "path": None} for n in rows], IMAGE),
        "text": pyarrow.array([f"picture {n}" for n in rows]),
        **changes,
    }
    return pyarrow.table({name: values for name, values in columns.items() if values is not None})


def parquet(folder: Path, name: str = "data/train-00000-of-00001.parquet", **changes: object) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table(**changes), path, row_group_size=2)


def saved_to_disk(folder: Path) -> None:
    """A `DatasetDict` of one split, two record batches to the file."""
    split = folder / "train"
    split.mkdir()
    (folder / "dataset_dict.json").write_text('{"splits": ["train"]}')
    for name in ("dataset_info.json", "state.json"):
        (split / name).write_text("{}")
    whole = table()
    with pyarrow.ipc.new_stream(str(split / "data-00000-of-00001.arrow"), whole.schema) as writer:
        writer.write_table(whole, max_chunksize=3)


@pytest.mark.parametrize("write", [parquet, saved_to_disk])
def test_every_row_is_a_pair_with_its_pictures_and_prompt(tmp_path, write):
    write(tmp_path)
    listing = read_folder(tmp_path)
    assert listing.problems == []
    assert [pair.prompt for pair in listing.pairs] == [f"picture {n}" for n in range(COUNT)]
    for n in (4, 0, 3, 1, 2):  # in any order
        pair = listing.pairs[n]
        assert pair.hint is not None
        assert pair.target.size() == (16, 12)
        assert np.array_equal(np.asarray(pair.target.open()), pixels(n))
        assert np.array_equal(np.asarray(pair.hint.open()), pixels(1000 + n))
    assert len({pair.target.digest() for pair in listing.pairs}) == COUNT


def test_parts_follow_each_other_and_other_splits_are_not_trained_on(tmp_path):
    for number in (1, 0):
        parquet(tmp_path, f"data/train-0000{number}-of-00002.parquet", first=COUNT * number)
    parquet(tmp_path, "data/test-00000-of-00001.parquet", first=50)
    assert [pair.prompt for pair in read_folder(tmp_path).pairs] == [f"picture {n}" for n in range(2 * COUNT)]


def test_pictures_alone_have_no_hint_and_no_prompt(tmp_path):
    parquet(tmp_path, "0000.parquet", conditioning_image=None, text=None)
    assert [(pair.hint, pair.prompt) for pair in read_folder(tmp_path).pairs] == [(None, "")] * COUNT


def test_a_row_without_a_picture_costs_its_pair_and_is_named(tmp_path):
    cells = [{"bytes": png(pixels(0)), "path": None}, None, {"bytes": None, "path": "/elsewhere/a.png"}]
    cells += [{"bytes": b"no picture", "path": None}, {"bytes": png(pixels(4)), "path": None}]
    parquet(tmp_path, image=pyarrow.array(cells, IMAGE), text=pyarrow.array(["a", None, "", "d", "e"]))
    pairs = read_folder(tmp_path).pairs
    assert [pair.prompt for pair in pairs] == ["a", "", "", "d", "e"]
    for number, message in ((1, "'image', but nothing"), (2, "'image', but a path"), (3, "row 4' cannot be read")):
        with pytest.raises(ValueError, match=message):
            pairs[number].target.size()
    assert pairs[4].target.size() == (16, 12)


@pytest.mark.parametrize("name", ["a.parquet", "data-0.arrow"])
@pytest.mark.parametrize("content", [b"", b"PAR1 and more", b"<!DOCTYPE html>" * 9])
def test_a_damaged_table_is_named(tmp_path, name, content):
    for file in ("dataset_info.json", "state.json"):
        (tmp_path / file).write_text("{}")
    if name.endswith("parquet"):
        (tmp_path / "state.json").unlink()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"^'{name}' cannot be read: "):
        read_folder(tmp_path)


def test_a_table_without_pictures_says_which_columns_it_has(tmp_path):
    parquet(tmp_path, "a.parquet", image=None)
    with pytest.raises(ValueError, match="no column image or file_name or target, but conditioning_image, text"):
        read_folder(tmp_path)


def test_a_missing_package_is_told_with_its_line(tmp_path, monkeypatch):
    parquet(tmp_path, "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ValueError, match=r"'a.parquet' cannot be read: .* pip install pyarrow"):
        read_folder(tmp_path)


def test_a_group_of_rows_is_unpacked_once_while_its_pictures_are_read_in_turn(tmp_path, monkeypatch):
    parquet(tmp_path, "a.parquet")
    pairs = read_folder(tmp_path).pairs
    opened, real = [], hugging_face._open
    monkeypatch.setattr(hugging_face, "_open", lambda file: opened.append(file) or real(file))
    for pair in pairs:
        pair.target.digest()
        pair.hint.digest()
        pair.target.open()
    assert len(opened) == 2 * 3, "each column of three groups"


def test_another_table_under_the_same_name_is_read_anew(tmp_path):
    for first in (0, 10):
        parquet(tmp_path, "a.parquet", first=first)
        (pair, *_) = read_folder(tmp_path).pairs
        assert np.array_equal(np.asarray(pair.target.open()), pixels(first))

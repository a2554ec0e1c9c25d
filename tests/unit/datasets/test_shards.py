"""Shards: few files, whole entries, several writers; and the manifest that says what they are."""

import json
from pathlib import Path

import pytest
import torch
from zeroconv.datasets import shards as module
from zeroconv.datasets.manifest import damaged_files, read_manifest, write_manifest
from zeroconv.datasets.shards import TensorShards


def entry(number: int) -> dict[str, torch.Tensor]:
    return {"a": torch.full((3, 2), number, dtype=torch.float16), "b": torch.arange(number % 5, dtype=torch.uint8)}


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("in_memory", [True, False])
def test_what_is_put_can_be_got_before_and_after_it_is_written(tmp_path: Path, in_memory: bool) -> None:
    shards = TensorShards(None if in_memory else tmp_path)
    for number in range(10):
        shards.put(f"key/{number}", entry(number))
    assert all(same(shards.get(f"key/{number}"), entry(number)) for number in range(10))
    shards.flush()
    assert all(same(shards.get(f"key/{number}"), entry(number)) for number in range(10))
    assert "key/3" in shards
    assert shards.get("another") is None


def test_thousands_of_entries_are_few_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD_ENTRIES", 100)
    shards = TensorShards(tmp_path)
    for number in range(450):
        shards.put(str(number), entry(number))
    assert len(list(tmp_path.iterdir())) == 4, "fifty are not written yet"
    shards.flush()
    assert len(shards.files()) == 5
    again = TensorShards(tmp_path)
    assert all(same(again.get(str(number)), entry(number)) for number in range(450))


def test_two_writers_see_each_others_shards_after_a_refresh(tmp_path: Path) -> None:
    one, other = TensorShards(tmp_path), TensorShards(tmp_path)
    one.put("1", entry(1))
    other.put("2", entry(2))
    one.flush()
    other.flush()
    assert other.get("1") is None
    other.refresh()
    assert same(other.get("1"), entry(1))
    assert same(other.get("2"), entry(2))


def test_a_damaged_shard_costs_its_entries_only(tmp_path: Path) -> None:
    shards = TensorShards(tmp_path)
    for number in range(2):
        shards.put(str(number), entry(number))
        shards.flush()
    whole = shards.files()
    whole[0].write_bytes(whole[0].read_bytes()[:-1])
    again = TensorShards(tmp_path)
    assert sum(str(number) in again for number in range(2)) == 1
    assert [shards.get(str(number)) for number in range(2)].count(None) == 1, "cut while it was in use"


def test_a_manifest_tells_missing_cut_and_changed_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(name.encode() * 10)
    write_manifest(tmp_path, [tmp_path / "one", tmp_path / "two"], {"pairs": 5})
    manifest = read_manifest(tmp_path)
    assert manifest.about == {"pairs": 5}
    assert manifest.files["one"][0] == 30
    assert damaged_files(tmp_path) == []
    (tmp_path / "one").write_bytes(b"oNe" * 10)
    assert damaged_files(tmp_path) == ["one"]
    (tmp_path / "two").write_bytes(b"cut")
    with pytest.raises(ValueError, match="lacks 'two' with its 30 bytes"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"format": "other", "files": []}', '{"format": "zeroconv dataset 1"}']
)
def test_what_is_not_a_manifest_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match="manifest"):
        read_manifest(tmp_path)


def test_a_manifest_reads_no_file_outside_of_its_folder(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret").write_bytes(b"abc")
    row = {"file": "../secret", "bytes": 3, "sha256": "0"}
    (inner / "manifest.json").write_text(json.dumps({"format": "zeroconv dataset 1", "files": [row]}))
    with pytest.raises(ValueError, match="lacks"):
        read_manifest(inner)

"""Weight files are read as the safetensors library and torch read them, but into memory of our own."""

import json
import random
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from zeroconv.storage import safetensors_file
from zeroconv.storage.safetensors_file import DTYPES, HEADER_BYTES, each_tensor
from zeroconv.storage.weights import read_header, read_weights
from zeroconv.storage.writing import write_safetensors

DTYPE_NAMES = sorted(DTYPES)


def some_tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    found = {name: (torch.rand(3, 5) * 9).to(dtype) for name, dtype in DTYPES.items()}
    return found | {
        "empty": torch.zeros(0, 4),
        "scalar": torch.tensor(3.5),
        "turned": torch.randn(4, 6).T,
        "ü": torch.ones(2),
    }


def same(first: torch.Tensor, second: torch.Tensor) -> bool:
    bits = [value.contiguous().reshape(-1).view(torch.uint8) for value in (first, second)]
    return first.dtype == second.dtype and first.shape == second.shape and torch.equal(*bits)


def test_every_dtype_is_read_and_written_as_the_library_does(tmp_path: Path) -> None:
    tensors = some_tensors()
    write_safetensors(tmp_path / "ours.safetensors", tensors, {"format": "pt", "author": "Zoë"})
    save_file({key: value.contiguous() for key, value in tensors.items()}, tmp_path / "theirs.safetensors")
    for file in ("ours", "theirs"):
        path = tmp_path / f"{file}.safetensors"
        ours, theirs = read_weights(path), load_file(path)
        assert ours.keys() == theirs.keys() == tensors.keys()
        assert all(same(ours[key], tensors[key]) and same(theirs[key], tensors[key]) for key in tensors)
    assert read_header(tmp_path / "ours.safetensors").metadata == {"format": "pt", "author": "Zoë"}


def test_headers_that_the_library_refuses_are_refused(tmp_path: Path) -> None:
    """Random changes of a good header: what ours takes, the library takes too, and gives the same tensors."""
    rng, path, taken = random.Random(5), tmp_path / "a.safetensors", 0
    refusals: set[str] = set()
    save_file({"a": torch.ones(2, 3), "b": torch.zeros(4, dtype=torch.int8)}, path)
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    good, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    values = (
        0,
        1,
        -1,
        2,
        3,
        6,
        24,
        28,
        2**62,
        2**64,
        1.5,
        "4",
        None,
        [],
        [0, 24],
        [2, 3],
        True,
        "F32",
        "I8",
        "F16",
        {},
    )
    for _ in range(3000):
        header = json.loads(json.dumps(good))
        entry = header[rng.choice("ab")]
        name = rng.choice(("dtype", "shape", "data_offsets", "shape", "data_offsets"))
        if rng.random() < 0.5 and isinstance(entry[name], list):
            entry[name][rng.randrange(len(entry[name]))] = rng.choice(values)
        else:
            entry[name] = rng.choice(values)
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)
        try:
            ours = read_weights(path)
        except ValueError as error:
            refusals.add(str(error).split(":")[0])
            continue
        taken += 1
        theirs = load_file(path)
        assert all(same(ours[key], theirs[key]) for key in theirs)
    assert refusals == {"'a.safetensors' is damaged or no safetensors file"}
    assert 50 < taken < 1000


def mapped(folder: Path) -> list[str]:
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("only Linux lists what is mapped")
    return [line for line in maps.read_text(encoding="utf-8").splitlines() if str(folder) in line]


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.ckpt"])
def test_weights_are_not_those_of_the_file_any_more(tmp_path: Path, name: str) -> None:
    path, value = tmp_path / name, torch.randn(64, 1024)
    if name.endswith("safetensors"):
        save_file({"a": value}, path)
    else:
        torch.save({"a": value}, path)
    read = read_weights(path)["a"]
    assert mapped(tmp_path) == []
    with path.open("r+b") as file:
        file.truncate(10)
    assert torch.equal(read, value)


def test_reading_takes_no_more_memory_than_the_tensors(tmp_path: Path) -> None:
    """One tensor after the other: of a file of which only the first is kept, only that is ever in memory."""
    save_file({f"{number:03}": torch.full((1000,), float(number)) for number in range(100)}, tmp_path / "a.safetensors")
    steps = each_tensor(tmp_path / "a.safetensors")
    assert next(steps)[1][0] == 0
    assert [int(value[0]) for _, value in steps] == list(range(1, 100))


def repacked(path: Path, compression: int) -> Path:
    """A `.pth` unpacked and packed again by an archive program."""
    other = path.with_name(f"again{compression}.pth")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w", compression) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    return other


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_pickle_packed_again_holds_the_same_weights(tmp_path: Path, compression: int) -> None:
    saved = {"a": torch.randn(100, 100).half(), "b": torch.arange(1000)}
    torch.save(saved, tmp_path / "w.pth")
    read = read_weights(repacked(tmp_path / "w.pth", compression))
    assert all(same(read[key], saved[key]) for key in saved)


def write_odd(folder: Path, kind: str) -> Path:
    """What lies in model folders and is not a weight file."""
    path = folder / f"odd-{kind}"
    if kind.startswith("page"):
        path.write_text("\n<!DOCTYPE html><title>log in</title>", encoding="utf-8")
    elif kind.startswith("pointer"):
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", encoding="utf-8")
    elif kind.startswith("empty"):
        path.touch()
    elif kind.startswith("folder"):
        path.mkdir()
    elif kind.startswith("script"):
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    elif kind.startswith("tar"):
        with tarfile.open(path, "w") as archive:
            archive.add(__file__, "storages")
    elif kind.startswith("bomb"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data/0", b"\0" * (1 << 26))
    elif kind.startswith("many"):
        entry = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
        text = json.dumps({f"{number:x}": entry for number in range(150_000)}).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text)
    elif kind.startswith("surrogate"):
        text = rb'{"\udcff": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}'
        path.write_bytes(struct.pack("<Q", len(text)) + text)
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("page.safetensors", "web page"),
        ("page.pth", "web page"),
        ("pointer.safetensors", "Git LFS pointer"),
        ("pointer.ckpt", "Git LFS pointer"),
        ("empty.pth", "empty"),
        ("folder.pth", "folder"),
        ("script.pt", "TorchScript"),
        ("tar.pth", "tar archive"),
        ("bomb.pth", "unpacks to far more"),
        ("many.safetensors", "100,000 tensors"),
        ("surrogate.safetensors", "not Unicode"),
    ],
)
def test_what_is_no_weight_file_is_told(tmp_path: Path, kind: str, says: str) -> None:
    path = write_odd(tmp_path, kind)
    with pytest.raises(ValueError, match=rf"'{path.name}'.*{says}"):
        read_weights(path)


@pytest.mark.parametrize("tensors", [100_001, 1_000_000])
def test_a_header_of_a_million_tensors_is_refused_before_it_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tensors: int
) -> None:
    entry = '"":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    text = f"{{{','.join([entry] * tensors)}}}".encode()[: HEADER_BYTES - 8]
    (tmp_path / "many.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    monkeypatch.setattr(safetensors_file, "parse_json", lambda *_: pytest.fail("parsed"))
    with pytest.raises(ValueError, match=r"'many.safetensors'.*more than 100,000 tensors"):
        read_header(tmp_path / "many.safetensors")

"""Files are written whole or not at all, by any number of writers, on a disk that fills, under every name."""

import errno
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from zeroconv.storage.locking import exclusive
from zeroconv.storage.names import check_new_name, printable
from zeroconv.storage.reading import read_text
from zeroconv.storage.writing import ABANDONED_SECONDS, write_atomically, write_bytes, write_safetensors

CONTENTS = [bytes([number]) * 300_000 for number in range(4)]


def write_often(path: Path, number: int) -> None:
    for _ in range(30):
        write_bytes(path, CONTENTS[number])


def test_writers_at_the_same_time_never_mix_their_files(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_often, args=(tmp_path / "w", number)) for number in range(3)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        if (tmp_path / "w").exists():
            seen.add((tmp_path / "w").read_bytes())
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert seen <= set(CONTENTS)
    assert os.listdir(tmp_path) == ["w"]


@contextmanager
def small_disk() -> Iterator[None]:
    """Files may have 20,000 bytes: the disk fills while writing, after the look at the free room.

    Only to the end of the block: what pytest prints may go to a longer file.
    """
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("kind", ["safetensors", "pickle", "many small tensors"])
def test_a_disk_that_fills_while_writing_is_told_by_name(tmp_path: Path, kind: str) -> None:
    tensors = {"a": torch.zeros(1 << 18)}
    (tmp_path / "w").write_bytes(b"before")
    write = {
        "safetensors": lambda: write_safetensors(tmp_path / "w", tensors),
        "many small tensors": lambda: write_safetensors(tmp_path / "w", {str(n): torch.zeros(900) for n in range(9)}),
        "pickle": lambda: write_atomically(tmp_path / "w", 1, lambda file: torch.save(tensors, file)),
    }[kind]
    with pytest.raises(OSError, match=r"'w' could not be written.*Make room") as caught, small_disk():
        write()
    assert caught.value.errno == errno.EFBIG
    assert os.listdir(tmp_path) == ["w"]
    assert (tmp_path / "w").read_bytes() == b"before"


@pytest.mark.parametrize("place", ["file/w", "file/deeper/w", "folder"])
def test_a_place_that_cannot_be_written_is_told_by_name(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    path = tmp_path / place
    with pytest.raises(OSError, match=rf"^'{path.name}' could not be written \(.*\)\. Choose another name"):
        write_bytes(path, b"content")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_what_a_killed_writer_left_is_removed_and_a_living_one_is_not_disturbed(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from zeroconv.storage.writing import write_atomically\n"
        "def die(file): file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomically(Path(sys.argv[1]), 4, die)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "w")], check=False)
    (left,) = tmp_path.iterdir()
    write_bytes(tmp_path / "w", b"whole")
    assert left.exists(), "it may belong to a writer that is slow"
    long_ago = time.time() - 2 * ABANDONED_SECONDS
    os.utime(left, (long_ago, long_ago))

    def while_writing(file) -> None:
        (mine,) = (path for path in tmp_path.glob("*.part") if path != left)
        os.utime(mine, (long_ago, long_ago))
        write_bytes(tmp_path / "other", b"x")
        assert mine.exists()
        file.write(b"whole too")

    write_atomically(tmp_path / "w", 9, while_writing)
    assert sorted(os.listdir(tmp_path)) == ["other", "w"]
    assert (tmp_path / "w").read_bytes() == b"whole too"


def count_up(path: Path, times: int) -> None:
    for _ in range(times):
        with exclusive(path.with_suffix(".lock"), lambda: None):
            path.write_text(str(int(path.read_text()) + 1))


def test_a_lock_lets_one_work_at_a_time_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "count"
    path.write_text("0")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=count_up, args=(path, 10)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert path.read_text() == "30"
    assert os.listdir(tmp_path) == ["count"]


@pytest.mark.parametrize(
    "name",
    [
        "CON",
        "nul",
        "com1.v2",
        "LPT9",
        "a.",
        "a ",
        "../a",
        "a/b",
        "a\\b",
        "a:b",
        "",
        ".a",
        "a" * 121,
        "a\n",
        "\udcff",
        "x\udcff",
    ],
)
def test_names_that_some_system_cannot_have_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a good name") as caught:
        check_new_name(name)
    caught.value.args[0].encode("utf-8")


@pytest.mark.parametrize("name", ["a", "my-net_2.1", "Größe 7", "console", "aux2", "com10", "v1.safetensors"])
def test_ordinary_names_are_taken(name: str) -> None:
    assert check_new_name(name) == name


def test_names_are_printable() -> None:
    assert printable("Größe\udcff") == "Größe\\udcff"


def test_texts_are_read_up_to_a_limit_and_in_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffMüller".encode())
    assert read_text(path) == "Müller"
    path.write_bytes("Müller".encode("latin-1"))
    with pytest.raises(ValueError, match=r"'a.txt' is not a text in UTF-8"):
        read_text(path)
    path.write_bytes(b"x" * 11)
    with pytest.raises(ValueError, match=r"'a.txt' is too large"):
        read_text(path, limit=10)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ValueError, match="'fifo' is a folder or a device"):
        read_text(tmp_path / "fifo")

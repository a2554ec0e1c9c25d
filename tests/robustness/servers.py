"""Servers that lie, stop, send for ever or send something else: a fetch keeps the right file or nothing."""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from robustness.jobs import CONTENT, SHA256, ignore, serve_weights, teed
from robustness.report import Budget, Table, complain
from zeroconv.preprocessors.weights import fetch
from zeroconv.preprocessors.weights.catalogue import Weights
from zeroconv.preprocessors.weights.fetch import Source, download, fetch_weights

HEADER = ("what the server does", "fetches", "refused", "right file", "wrong file", "other errors", "slowest")
MOST_SECONDS = 20.0
PAGE = b"<!DOCTYPE html><title>Please log in</title>"
Answer = Callable[[random.Random, bytes, int], Iterator[bytes]]
"""Parts of an answer; of the content from a place on."""


def head(status: str, *lines: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1")


def whole(content: bytes, start: int, *lines: str) -> bytes:
    """A correct answer."""
    length = f"Content-Length: {len(content) - start}"
    if start:
        place = f"Content-Range: bytes {start}-{len(content) - 1}/{len(content)}"
        return head("206 Partial Content", length, place, *lines) + content[start:]
    return head("200 OK", length, *lines) + content


def good(rng: random.Random, content: bytes, start: int) -> Iterator[bytes]:
    yield whole(content, start)


def cut(rng: random.Random, content: bytes, start: int) -> Iterator[bytes]:
    answer = whole(content, start)
    yield answer[: rng.randrange(len(answer))] if rng.random() < 0.7 else answer


def no_ranges(rng: random.Random, content: bytes, start: int) -> Iterator[bytes]:
    yield from cut(rng, content, 0)


def other_range(rng: random.Random, content: bytes, start: int) -> Iterator[bytes]:
    place = rng.randrange(len(content))
    lines = (f"Content-Length: {len(content) - place}", f"Content-Range: bytes {place}-{len(content) - 1}/*")
    yield (head("206 Partial Content", *lines) + content[place:])[: rng.choice((10**9, 100_000))]


def never_a_range(rng: random.Random, content: bytes, start: int) -> Iterator[bytes]:
    yield head("416 Range Not Satisfiable", "Content-Length: 0")


def other_length(rng: random.Random, content: bytes, start: int) -> Iterator[bytes]:
    length = rng.choice(["0", "-1", "x", "1e6", str(len(content) // 2), str(2 * len(content)), "9" * 400, ""])
    yield head("200 OK", f"Content-Length: {length}") + content


def one_byte_wrong(rng: random.Random, content: bytes, start: int) -> Iterator[bytes]:
    place = rng.randrange(start, len(content))
    yield whole(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :], start)


def more(rng: random.Random, content: bytes, start: int) -> Iterator[bytes]:
    yield head("200 OK") + content + b"more" * rng.randrange(1, 1000)


def for_ever(rng: random.Random, content: bytes, start: int) -> Iterator[bytes]:
    yield head("200 OK")
    while True:
        yield b"\0" * (1 << 18)


def page(rng: random.Random, content: bytes, start: int) -> Iterator[bytes]:
    kind, text = rng.choice(
        [
            ("text/html", PAGE),
            ("", PAGE),
            ("application/json", b'{"error": "no"}'),
            ("", b'{"error": "no"}'),
            ("application/octet-stream", PAGE * 5000),
        ]
    )
    yield head("200 OK", f"Content-Type: {kind}", f"Content-Length: {len(text)}") + text


def empty(rng: random.Random, content: bytes, start: int) -> Iterator[bytes]:
    yield head(rng.choice(("200 OK", "204 No Content", "206 Partial Content")), "Content-Length: 0")


def statuses(rng: random.Random, content: bytes, start: int) -> Iterator[bytes]:
    status = rng.choice((301, 304, 400, 401, 403, 404, 408, 410, 418, 429, 451, 500, 502, 503, 504, 599, 999))
    yield head(f"{status} No", "Content-Length: 0") if rng.random() < 0.8 else whole(content, start)


def elsewhere(rng: random.Random, content: bytes, start: int) -> Iterator[bytes]:
    places = ("/again", "file:///etc/passwd", "ftp://127.0.0.1/w", "http://[", "//127.0.0.1:1/w", "data:,x", "\xff")
    yield head("302 Found", f"Location: {rng.choice(places)}", "Content-Length: 0")


def no_http(rng: random.Random, content: bytes, start: int) -> Iterator[bytes]:
    yield rng.choice((b"", b"\0" * 1000, b"SSH-2.0\r\n", b"HTTP/9 x y\r\n\r\n", rng.randbytes(5000), b"HTTP/1.1\r\n"))


def long_headers(rng: random.Random, content: bytes, start: int) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    yield from rng.choice(([b"X: " + b"x" * 100_000 + b"\r\n"], [b"X: y\r\n" * 1000], [b"no header\r\n" * 50]))
    yield whole(content, start)[17:]


def chunks(rng: random.Random, content: bytes, start: int) -> Iterator[bytes]:
    yield head("200 OK", "Transfer-Encoding: chunked")
    for place in range(0, len(content), 1 << 17):
        block = content[place : place + (1 << 17)]
        size = rng.choice((f"{len(block):x}",) * 12 + ("zz", "-5", "f" * 400))
        yield f"{size}\r\n".encode() + block + b"\r\n"
    yield b"0\r\n\r\n"


def packed(rng: random.Random, content: bytes, start: int) -> Iterator[bytes]:
    squeezed = gzip.compress(content[:200_000], 1)
    yield head("200 OK", "Content-Encoding: gzip", f"Content-Length: {len(squeezed)}") + squeezed


def silent(rng: random.Random, content: bytes, start: int) -> Iterator[bytes]:
    answer = whole(content, start)
    yield answer[: rng.choice((0, 10, len(answer) // 2))]
    time.sleep(1.0)


ANSWERS: dict[str, Answer] = {
    "answers well": good,
    "cuts the connection anywhere": cut,
    "has no ranges, and cuts": no_ranges,
    "sends another range than asked for": other_range,
    "refuses every range": never_a_range,
    "lies about the length": other_length,
    "sends one wrong byte": one_byte_wrong,
    "sends more": more,
    "sends for ever": for_ever,
    "sends a login page or a JSON error": page,
    "sends nothing": empty,
    "says any status": statuses,
    "sends one elsewhere": elsewhere,
    "speaks no HTTP": no_http,
    "sends long headers": long_headers,
    "sends damaged chunks": chunks,
    "packs the content": packed,
    "falls silent": silent,
}


@contextlib.contextmanager
def serving(rng: random.Random, answer: Answer, content: bytes) -> Iterator[str]:
    """The address of a server with this behavior."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=one, args=(listening.accept()[0],), daemon=True).start()

    def one(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            asked = connection.recv(65536).decode("latin-1")
            start = int(asked.partition("Range: bytes=")[2].partition("-")[0] or 0)
            for part in answer(rng, content, min(start, len(content) - 1)):
                connection.sendall(part)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def run(seconds: float, least: int) -> Table:
    """Every behavior for files with and without known size and hash."""
    table = Table("servers", HEADER)
    timeout, fetch.TIMEOUT = fetch.TIMEOUT, 0.3
    with serve_weights():
        for label, answer in ANSWERS.items():
            _try(label, answer, Budget(seconds / len(ANSWERS), least), table)
    fetch.TIMEOUT = timeout
    return table


def _try(label: str, answer: Answer, budget: Budget, table: Table) -> None:
    rng, refused, right, wrong, strange, slowest = random.Random(label), 0, 0, 0, 0, 0.0
    while budget.more():
        row, begin = budget.done % 3, time.monotonic()
        content = CONTENT if row < 2 else teed()
        with tempfile.TemporaryDirectory() as folder, serving(rng, answer, content) as url:
            target, said = Path(folder) / "w.pth", ""
            try:
                _fetch(row, url, Path(folder))
            except (OSError, ValueError) as error:
                said = str(error)
                refused += 1
            except Exception as error:
                said = f"Traceback: {error!r}"
            if said and (problem := complain(said, (url, "w.pth"))):
                strange += 1
                table.faults.append(f"{label}: {problem}: {ascii(said)[:300]}")
            right += target.exists() and target.read_bytes() == content
            if target.exists() and target.read_bytes() != content:
                wrong += 1
                table.faults.append(f"{label}: a wrong file was kept")
            slowest = max(slowest, time.monotonic() - begin)
    if slowest > MOST_SECONDS:
        table.faults.append(f"{label}: took {slowest:.0f} s")
    table.rows.append((label, budget.done, refused, right, wrong, strange, f"{slowest:.1f} s"))


def _fetch(row: int, url: str, folder: Path) -> None:
    """A file with a known size and hash, with a known hash, or one of which only the network is known."""
    if row < 2:
        download(Source(f"{url}/w", len(CONTENT) if row else 0, SHA256, 2 * len(CONTENT)), folder / "w.pth", ignore)
        return
    weights = Weights("test", "w.pth", 0, "", "MIT", "a test", repo="a/b", path="w", megabytes=0.24, network="teed")
    os.environ |= {"HF_ENDPOINT": url, "HF_HUB_OFFLINE": "0"}
    fetch_weights(weights, folder, ignore)

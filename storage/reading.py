"""Read files that nobody vouches for: only ordinary files, and of texts no more than a limit."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .names import name_of

TEXT_BYTES = 1 << 20
"""The most that is read of a text beside a weight file: such files have some thousand characters."""
INDEX_BYTES = 16 << 20
"""The most of a JSON text that lists tensors or pictures."""
BLOCK = 1 << 22

ProgressCallback = Callable[[int, int], object]
"""Called with (bytes done, bytes in all); may raise to stop."""


def check_file(path: Path) -> int:
    """Bytes of an ordinary file. Raises FileNotFoundError, or ValueError for an empty file, a folder or a device."""
    if not path.exists():
        raise FileNotFoundError(f"{name_of(path)} does not exist.")
    if not path.is_file():
        raise ValueError(f"{name_of(path)} is a folder or a device, not a file.")
    size = path.stat().st_size
    if size == 0:
        raise ValueError(f"{name_of(path)} is empty: the download failed. Download it again.")
    return size


def read_text(path: Path, limit: int = TEXT_BYTES, errors: str = "strict") -> str:
    """A text in UTF-8, with or without byte order mark.

    limit: in bytes. errors: as of `bytes.decode`. Raises ValueError, naming the file, when it is larger, or is not such
    a text.
    """
    if not path.is_file():
        raise ValueError(f"{name_of(path)} is a folder or a device, or does not exist.")
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{name_of(path)} is too large: texts of this kind have at most {limit / 1e6:.1f} MB.")
    try:
        return content.decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name_of(path)} is not a text in UTF-8 (byte {error.start + 1}). Save it again in UTF-8."
        ) from error


def read_lines(path: Path, limit: int = TEXT_BYTES) -> Iterator[bytes]:
    """The lines of a text of any length, one after the other.

    limit: bytes of a line; what is beyond comes as another.
    """
    with path.open("rb") as file:
        while line := file.readline(limit):
            yield line


def parse_json(text: str, what: str) -> Any:
    """The value of a JSON text. what: whose text it is, for the message. Raises ValueError."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{what} is not JSON text: line {error.lineno}, column {error.colno}.") from error
    except (ValueError, RecursionError) as error:  # numbers of a million digits, lists within lists
        raise ValueError(f"{what} is not JSON text that can be read: it is nested too deep, or damaged.") from error


def read_json(path: Path, limit: int = INDEX_BYTES) -> dict[str, Any]:
    """A JSON object of moderate size. Raises ValueError, naming the file, when it is none."""
    content = parse_json(read_text(path, limit), name_of(path))
    if not isinstance(content, dict):
        raise ValueError(f"{name_of(path)} holds no JSON object.")
    return content


def read_toml(path: Path, limit: int = TEXT_BYTES) -> dict[str, Any]:
    """The tables of a TOML file. Raises ValueError, naming the file, when it is not one."""
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib
    text = read_text(path, limit)
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"{name_of(path)} is not a TOML file: {error}") from error


def sha256_of(path: Path, progress: ProgressCallback | None = None) -> str:
    """Hexadecimal SHA-256 of a file, read in blocks."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            done += len(block)
            if progress is not None:
                progress(done, total)
    return digest.hexdigest()

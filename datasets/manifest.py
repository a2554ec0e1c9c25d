"""The manifest of a prepared data set: its files with sizes and hashes, and the settings it was made with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..storage.names import name_of, printable
from ..storage.reading import read_json, sha256_of
from ..storage.writing import write_bytes

MANIFEST = "manifest.json"
FORMAT = "zeroconv dataset 1"


@dataclass(frozen=True)
class Manifest:
    """about: what the set was made with, by name. files: size in bytes and SHA-256 by name."""

    about: dict[str, Any]
    files: dict[str, tuple[int, str]]


def is_prepared(folder: Path) -> bool:
    """Whether a folder holds a prepared data set."""
    return (folder / MANIFEST).is_file()


def write_manifest(folder: Path, files: Sequence[Path], about: Mapping[str, Any]) -> None:
    """Describe files of the folder, which are read for their hashes."""
    table = [{"file": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)} for path in files]
    content = {"format": FORMAT, **about, "files": table}
    write_bytes(folder / MANIFEST, json.dumps(content, indent=1, ensure_ascii=False).encode())


def read_manifest(folder: Path) -> Manifest:
    """The manifest, after a look at the sizes of all files.

    Raises ValueError for what is not a prepared data set, and for files that are missing or cut off.
    """
    content = read_json(folder / MANIFEST)
    try:
        if content.pop("format") != FORMAT:
            raise ValueError(f"its format is not '{FORMAT}'")
        files = {str(row["file"]): (int(row["bytes"]), str(row["sha256"])) for row in content.pop("files")}
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{name_of(folder / MANIFEST)} in '{printable(folder)}' is not the manifest of a prepared data set: "
            f"{error}. Make the set again with `zeroconv dataset`."
        ) from error
    for name, (size, _) in files.items():
        path = folder / Path(name).name
        if not path.is_file() or path.stat().st_size != size:
            raise ValueError(
                f"The data set in '{printable(folder)}' lacks '{printable(name)}' with its {size} bytes. "
                "Copy it again, or make the set again with `zeroconv dataset`: what is there is not made twice."
            )
    return Manifest(content, files)


def damaged_files(folder: Path) -> list[str]:
    """Names of the files whose content is not what the manifest says. Raises ValueError as `read_manifest`."""
    manifest = read_manifest(folder)
    return [name for name, (_, digest) in manifest.files.items() if sha256_of(folder / Path(name).name) != digest]

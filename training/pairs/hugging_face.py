"""Data sets of Hugging Face in a folder: Parquet files, as the hub keeps them, or what `Dataset.save_to_disk` wrote.

Pictures lie as the bytes of their files in the rows of tables (feature `Image` of huggingface/datasets).
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ...preprocessors.pictures import NamedBytes, picture_size, read_rgb
from ...storage.names import name_of
from .captions import COLUMNS, prompt_of
from .pair import HINT_COLUMNS, TARGET_COLUMNS, Listing, Pair

if TYPE_CHECKING:
    import pyarrow

PLACES = (".", "data", "train", "default/train")
"""Where Parquet files lie in a repository of the hub."""
SPLIT = "train"
KEPT_GROUPS = 4
"""Row groups whose column stays in memory: rows are encoded in order, picture and hint in turn."""


@dataclass(frozen=True)
class TablePicture:
    """A picture in a cell of a table. group: row group or record batch. row: within it. number: within the file."""

    file: Path
    column: str
    group: int
    row: int
    number: int

    @property
    def name(self) -> str:
        return f"{self.file.name} row {self.number}"

    def digest(self) -> str:
        return hashlib.blake2b(self._bytes().content, digest_size=16).hexdigest()

    def size(self) -> tuple[int, int]:
        return picture_size(self._bytes())

    def open(self) -> Image.Image:
        return read_rgb(self._bytes())

    def _bytes(self) -> NamedBytes:
        with _named(self.file):
            value = _cell(self.file, self.column, self.group, self.row)
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise ValueError(f"it holds no picture in '{self.column}', but {'a path' if value else 'nothing'}")
        return NamedBytes(self.name, content)


def find_tables(folder: Path) -> list[Path]:
    """The files of a data set's training split; empty when the folder holds no tables."""
    if (folder / "dataset_dict.json").is_file():
        folder = folder / SPLIT
    if (folder / "dataset_info.json").is_file() and (folder / "state.json").is_file():
        return sorted(folder.glob("*.arrow"))
    found = next(filter(None, (sorted((folder / place).glob("*.parquet")) for place in PLACES)), [])
    return [path for path in found if path.name.startswith(SPLIT)] or found


def read_tables(files: list[Path]) -> Listing:
    """The pairs in tables with columns as those of `metadata.jsonl`. Raises ValueError when no table can be read."""
    listing = Listing("hugging face")
    for file in files:
        with _named(file):
            for pair in _pairs(file):
                if isinstance(pair, Pair):
                    listing.pairs.append(pair)
                else:
                    listing.problems.append(pair)
    return listing


def _pairs(file: Path) -> Iterator[Pair | str]:
    """The pairs of a table, and a line for each row that is skipped."""
    table = _open(file)
    names = table.names
    target = next((name for name in TARGET_COLUMNS if name in names), None)
    if target is None:
        raise ValueError(f"it has no column {' or '.join(TARGET_COLUMNS)}, but {', '.join(names)}")
    hint = next((name for name in HINT_COLUMNS if name in names), None)
    captions = [name for name in COLUMNS if name in names]
    number = 0
    for group, count in enumerate(table.counts):
        texts = {name: table.column(group, name).to_pylist() for name in captions}
        for row in range(count):
            number += 1
            conditioning = TablePicture(file, hint, group, row, number) if hint else None
            try:
                prompt = prompt_of({name: values[row] for name, values in texts.items()})
                yield Pair(TablePicture(file, target, group, row, number), conditioning, prompt)
            except ValueError as error:
                yield f"{file.name} row {number}: {error}"


@dataclass(frozen=True)
class _Table:
    """An open file. names: of its columns. counts: rows of each group. column: reads one of a group."""

    names: list[str]
    counts: list[int]
    column: Callable[[int, str], pyarrow.Array | pyarrow.ChunkedArray]


def _open(file: Path) -> _Table:
    if file.suffix == ".parquet":
        parquet = _pyarrow("pyarrow.parquet").ParquetFile(file)
        counts = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        return _Table(
            parquet.schema_arrow.names,
            counts,
            lambda group, name: parquet.read_row_group(group, columns=[name]).column(name),
        )
    batches = list(_pyarrow("pyarrow.ipc").open_stream(_pyarrow("pyarrow").memory_map(str(file))))
    names = batches[0].schema.names if batches else []
    return _Table(names, [batch.num_rows for batch in batches], lambda group, name: batches[group].column(name))


@functools.lru_cache(maxsize=KEPT_GROUPS)
def _parquet_column(file: Path, changed: int, column: str, group: int) -> Any:
    """A column of a row group. changed: when the file was, so that another one under its name is read anew."""
    return _open(file).column(group, column)


def _cell(file: Path, column: str, group: int, row: int) -> Any:
    """A value. Parquet packs the rows of a group together; of an Arrow file no more than the row is read."""
    if file.suffix == ".parquet":
        return _parquet_column(file, file.stat().st_mtime_ns, column, group)[row].as_py()
    return _open(file).column(group, column)[row].as_py()


def _pyarrow(module: str) -> Any:
    """A module of pyarrow, which few need. Raises ValueError that says how to get it."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError("reading it needs the package pyarrow: pip install pyarrow") from error


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Whatever a damaged table makes pyarrow raise, as a ValueError with the file's name."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{name_of(file)} cannot be read: it is damaged or cut off.") from error
    except Exception as error:
        raise ValueError(f"{name_of(file)} cannot be read: {error}") from error

"""Find the pairs in a folder: the common layouts, recognised by their files."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .captions import decode, prompt_of, read_caption
from .hugging_face import find_tables, read_tables
from .pair import HINT_COLUMNS, TARGET_COLUMNS, Listing, Pair
from .pictures import FilePicture

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
HINT_FOLDERS = ("conditioning_data", "conditioning_images", "conditioning", "control", "hints", "hint", "source")
TARGET_FOLDERS = ("images", "image", "targets", "target", "train")
REPEATS = re.compile(r"(\d{1,4})_")
"""Beginning of a sub-folder's name in kohya-ss/sd-scripts: how often its pictures are shown in an epoch."""
MAX_LINE_BYTES = 1_000_000
SHOWN_LETTERS = 80


def read_folder(folder: Path) -> Listing:
    """List the pairs of a folder.

    Layouts: `prompt.json`, lines of source, target, prompt (fill50k of lllyasviel/ControlNet); `metadata.jsonl`,
    lines of image or file_name, conditioning_image, text (diffusers); pictures with hints of the same name in a
    folder beside them and prompts in `.txt` or `.caption` files, sub-folders with or without repeats
    (kohya-ss/sd-scripts); pictures and prompts alone, without hints; tables of Hugging Face (`hugging_face.py`).
    Raises ValueError when there are none of them.
    """
    if not folder.is_dir():
        raise ValueError(f"The dataset folder '{folder.name}' does not exist.")
    for inner in (folder, folder / "train"):
        for layout, name in (("fill50k", "prompt.json"), ("diffusers", "metadata.jsonl")):
            if (inner / name).is_file():
                return _read_lines(layout, inner / name)
    tables = find_tables(folder)
    return read_tables(tables) if tables else _read_names(folder)


def _read_lines(layout: str, file: Path) -> Listing:
    listing = Listing(layout)
    with file.open("rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE_BYTES + 1), b""), 1):
            try:
                if line.strip():
                    listing.pairs.append(_read_entry(file.parent, line))
            except ValueError as error:
                listing.problems.append(f"{file.name} line {number}: {error}")
    return listing


def _read_entry(folder: Path, line: bytes) -> Pair:
    """The pair of a JSON line. Raises ValueError that says what is wrong with it."""
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"it is longer than {MAX_LINE_BYTES} bytes")
    text = decode(line)
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    if not isinstance(entry, dict):
        raise ValueError("it is not an entry of names and values")
    target = _first(entry, TARGET_COLUMNS)
    if target is None:
        raise ValueError(f"it names no picture: none of {', '.join(TARGET_COLUMNS)}")
    hint = _first(entry, HINT_COLUMNS)
    return Pair(
        FilePicture(_inside(folder, target)), FilePicture(_inside(folder, hint)) if hint else None, prompt_of(entry)
    )


def _first(entry: dict[str, Any], columns: tuple[str, ...]) -> Any:
    return next((entry[name] for name in columns if entry.get(name)), None)


def _inside(folder: Path, name: Any) -> Path:
    """A file of the folder. Raises ValueError when it is missing or lies outside."""
    shown = str(name) if len(str(name)) <= SHOWN_LETTERS else f"{str(name)[:SHOWN_LETTERS]}..."
    try:
        path = (folder / str(name)).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise ValueError(f"'{shown}' lies outside the dataset's folder")
        exists = path.is_file()
    except (OSError, RuntimeError) as error:  # a name that is too long, a circle of links
        raise ValueError(f"'{shown}' cannot be opened ({type(error).__name__})") from error
    if not exists:
        raise ValueError(f"'{shown}' does not exist")
    return path


def _read_names(folder: Path) -> Listing:
    targets = next((folder / name for name in TARGET_FOLDERS if (folder / name).is_dir()), folder)
    hint_folder = next((folder / name for name in HINT_FOLDERS if (folder / name).is_dir()), None)
    found = list(_pictures(targets))
    if not found:
        raise ValueError(
            f"'{folder.name}' holds no dataset: neither prompt.json, nor metadata.jsonl, nor tables, nor pictures. "
            f"Put hints into a folder '{HINT_FOLDERS[0]}' beside the pictures, under the same names."
        )
    listing = Listing("same names" if hint_folder else "pictures without hints")
    hints = _Hints(hint_folder) if hint_folder else None
    for path in found:
        name = path.relative_to(targets)
        try:
            hint = FilePicture(hints.find(name)) if hints else None
            listing.pairs.append(Pair(FilePicture(path), hint, read_caption(path), _repeats(name)))
        except ValueError as error:
            listing.problems.append(f"{name.as_posix()}: {error}")
    if hints:
        listing.problems.extend(f"{name}: a hint without a picture of this name" for name in hints.unused())
    return listing


class _Hints:
    """The hints in a folder, found by a picture's name: in the same sub-folder, else by the name alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        paths = list(_pictures(folder))
        self._by_place = {path.relative_to(folder).with_suffix(""): path for path in paths}
        counts = Counter(path.stem for path in paths)
        self._by_name = {path.stem: path for path in paths if counts[path.stem] == 1}
        self._used: set[Path] = set()

    def find(self, name: Path) -> Path:
        """The hint for a picture, whose name is relative to its folder. Raises ValueError when there is none."""
        hint = self._by_place.get(name.with_suffix("")) or self._by_name.get(name.stem)
        if hint is None:
            raise ValueError(f"no hint of this name in '{self._folder.name}'")
        self._used.add(hint)
        return hint

    def unused(self) -> list[str]:
        """Hints that no picture has asked for."""
        unused = [path for path in self._by_place.values() if path not in self._used]
        return [path.relative_to(self._folder).as_posix() for path in unused]


def _repeats(name: Path) -> int:
    """How often a picture is shown in an epoch, by the folder it lies in: 10 in `10_cat/a.png`."""
    match = REPEATS.match(name.parent.name)
    return max(1, int(match[1])) if match else 1


def _pictures(folder: Path) -> Iterator[Path]:
    """All pictures in a folder and its sub-folders, in order of their names; those of hints are left out."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in HINT_FOLDERS and not path.name.startswith("."):
            yield from _pictures(path)
        elif path.suffix.lower() in PICTURES and path.is_file():
            yield path

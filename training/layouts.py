"""Find the pairs in a folder: the common layouts, told apart by looking."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..storage.names import printable
from ..storage.reading import parse_json, read_lines, read_text
from .pictures import FilePicture, Picture

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
HINT_FOLDERS = ("conditioning_data", "conditioning_images", "conditioning", "control", "hints", "hint", "source")
LONGEST_SHOWN = 200
"""Characters of a name from a list, in messages."""
TARGET_FOLDERS = ("images", "image", "targets", "target", "train")


@dataclass(frozen=True)
class Pair:
    """A picture, the hint that belongs to it, and its prompt. hint: None when it is to be made from the picture."""

    target: Picture
    hint: Picture | None
    prompt: str


@dataclass(frozen=True)
class Listing:
    """What a folder holds. problems: one line for each entry that was skipped, beginning with its name."""

    layout: str
    pairs: list[Pair] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_folder(folder: Path) -> Listing:
    """List the pairs of a folder.

    Layouts: `prompt.json`, lines of source, target, prompt (fill50k of lllyasviel/ControlNet); `metadata.jsonl`,
    lines of image or file_name, conditioning_image, text (diffusers); pictures with hints of the same name in a
    folder beside them and prompts in `.txt` files (kohya-ss/sd-scripts); pictures and prompts alone, without hints.
    Raises ValueError when there are none of them.
    """
    if not folder.is_dir():
        raise ValueError(f"The dataset folder '{folder.name}' does not exist.")
    for inner in (folder, folder / "train"):
        if (inner / "prompt.json").is_file():
            return _read_lines("fill50k", inner, inner / "prompt.json", ("target",), "source", "prompt")
        if (inner / "metadata.jsonl").is_file():
            names = ("image", "file_name")
            return _read_lines("diffusers", inner, inner / "metadata.jsonl", names, "conditioning_image", "text")
    return _read_names(folder)


def _read_lines(layout: str, folder: Path, file: Path, targets: tuple[str, ...], hint: str, prompt: str) -> Listing:
    listing = Listing(layout)
    for number, line in enumerate(read_lines(file), 1):
        if not line.strip():
            continue
        try:
            entry = parse_json(line.decode("utf-8-sig"), "it")
            target = next(entry[name] for name in targets if name in entry)
            listing.pairs.append(
                Pair(
                    FilePicture(_inside(folder, target)),
                    FilePicture(_inside(folder, entry[hint])) if entry.get(hint) else None,
                    printable(entry.get(prompt) or ""),
                )
            )
        except UnicodeDecodeError:
            listing.problems.append(f"{file.name} line {number}: not a text in UTF-8; save the file again in UTF-8")
        except (StopIteration, TypeError, AttributeError):
            listing.problems.append(f"{file.name} line {number}: no entry with {', '.join((*targets, hint, prompt))}")
        except ValueError as error:
            listing.problems.append(f"{file.name} line {number}: {error}")
    return listing


def _inside(folder: Path, name: Any) -> Path:
    """A file of the folder. Raises ValueError when it is missing or lies outside."""
    shown = printable(name)[:LONGEST_SHOWN]
    try:
        path = (folder / str(name)).resolve()
        there, inside = path.is_file(), path.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # a name that no file can have, or a link to itself
        raise ValueError(f"'{shown}' does not exist") from error
    if not inside:
        raise ValueError(f"'{shown}' lies outside the dataset's folder")
    if not there:
        raise ValueError(f"'{shown}' does not exist")
    return path


def _read_names(folder: Path) -> Listing:
    targets = next((folder / name for name in TARGET_FOLDERS if (folder / name).is_dir()), folder)
    hint_folder = next((folder / name for name in HINT_FOLDERS if (folder / name).is_dir()), None)
    hints = {path.stem: path for path in _pictures(hint_folder)} if hint_folder else {}
    listing = Listing("same names" if hint_folder else "pictures without hints")
    found = list(_pictures(targets))
    if not found:
        raise ValueError(
            f"'{folder.name}' holds no dataset: neither prompt.json, nor metadata.jsonl, nor pictures. "
            f"Hints belong into a folder '{HINT_FOLDERS[0]}' beside the pictures, under the same names."
        )
    for path in found:
        hint = hints.pop(path.stem, None)
        if hint_folder and hint is None:
            listing.problems.append(f"{printable(path.name)}: no hint of this name in '{hint_folder.name}'")
            continue
        caption = path.with_suffix(".txt")
        try:
            prompt = read_text(caption).strip() if caption.is_file() else ""
        except ValueError as error:
            listing.problems.append(f"{printable(path.name)}: {error}")
            continue
        listing.pairs.append(Pair(FilePicture(path), FilePicture(hint) if hint else None, prompt))
    listing.problems.extend(f"{printable(path.name)}: a hint without a picture of this name" for path in hints.values())
    return listing


def _pictures(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.suffix.lower() in PICTURES and path.is_file())

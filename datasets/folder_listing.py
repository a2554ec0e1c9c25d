"""The images of a folder and the places of their hints, one sub-folder at a time: a million files take no memory."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..storage.writing import remove_abandoned_parts
from .hint_maker import Job

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


@dataclass
class Survey:
    """The files of a folder. others: of other kinds, counted by suffix. unreadable: a line for each such folder."""

    pictures: int = 0
    there: int = 0
    others: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Folder:
    """One folder: names of its pictures and, in the same order, of their hints; which hints are there."""

    source: str
    target: str
    pictures: list[str]
    hints: list[str]
    there: set[str]


class FolderListing:
    """The images in a folder and the folders in it, but not those in `target`, where their hints go."""

    def __init__(self, source: Path, target: Path, suffix: str = ".png") -> None:
        """suffix: of the hints. Raises ValueError where hints would lie in the folder of the pictures."""
        if not source.is_dir():
            problem = "is a file; --input takes the folder that it is in" if source.exists() else "is not there"
            raise ValueError(f"--input {source} {problem}.")
        if target.exists() and target.samefile(source):
            raise ValueError(f"--output is the folder of the images, {source}: their hints need another folder.")
        self._source, self._target, self._suffix = source, target, suffix

    def survey(self) -> Survey:
        """Count everything. Raises ValueError where there is no picture, or a hint would replace one."""
        survey = Survey()
        for folder in self._folders(survey):
            survey.pictures += len(folder.pictures)
            survey.there += sum(hint in folder.there for hint in folder.hints)
            self._check_replaces_nothing(folder)
        if not survey.pictures:
            raise ValueError(f"--input {self._source} holds no images; {', '.join(SUFFIXES)} are read.")
        return survey

    def jobs(self, overwrite: bool = False) -> Iterator[Job]:
        """Every image without a hint, or every image, with the place of its hint."""
        for folder in self._folders(Survey()):
            if folder.there:
                remove_abandoned_parts(Path(folder.target))
            for picture, hint in zip(folder.pictures, folder.hints, strict=True):
                if overwrite or hint not in folder.there:
                    yield os.path.join(folder.source, picture), os.path.join(folder.target, hint)

    def _folders(self, survey: Survey) -> Iterator[_Folder]:
        """Each folder in turn; `survey` gets what is not a picture."""
        waiting = [""]
        target = os.stat(self._target) if self._target.exists() else None
        while waiting:
            inner = waiting.pop()
            source, hints = os.path.join(self._source, inner), os.path.join(self._target, inner)
            pictures: list[str] = []
            folders: list[str] = []
            try:
                with os.scandir(source) as entries:
                    for entry in entries:
                        if entry.is_dir():
                            if not entry.is_symlink() and not (target and os.path.samestat(os.stat(entry), target)):
                                folders.append(os.path.join(inner, entry.name))
                        elif (suffix := os.path.splitext(entry.name)[1].lower()) in SUFFIXES:
                            pictures.append(entry.name)
                        else:
                            survey.others[suffix or "no suffix"] += 1
            except OSError as error:
                survey.unreadable.append(str(error))
            waiting += sorted(folders, reverse=True)
            if pictures:
                pictures.sort()
                yield _Folder(source, hints, pictures, hint_names(pictures, self._suffix), _names(hints))

    def _check_replaces_nothing(self, folder: _Folder) -> None:
        """Raise ValueError when the folder of hints is one of those with pictures, and a hint has a picture's name."""
        source, target = os.path.realpath(self._source), os.path.realpath(self._target)
        place = os.path.realpath(folder.target)
        if not _lies_in(place, source) or (_lies_in(target, source) and _lies_in(place, target)):
            return
        for picture, hint in zip(folder.pictures, folder.hints, strict=True):
            if hint in folder.there:
                hint = os.path.join(folder.target, hint)
                raise ValueError(f"The hint of {picture} would replace the image {hint}: choose another --output.")


def hint_names(pictures: Sequence[str], suffix: str) -> list[str]:
    """The name of every picture's hint, `a.png` for `a.jpg`, in one folder.

    Where pictures would share a hint, their suffix becomes part of its name: `a.jpg.png`. Names that differ in case
    only count as equal, since on many disks they are.
    """
    hints = [os.path.splitext(picture)[0] + suffix for picture in pictures]
    while True:
        counts = Counter(hint.casefold() for hint in hints)
        if len(counts) == len(hints):
            return hints
        longer = [
            picture + suffix if counts[hint.casefold()] > 1 else hint
            for picture, hint in zip(pictures, hints, strict=True)
        ]
        if longer == hints:
            return hints
        hints = longer


def _names(folder: str) -> set[str]:
    """The names in a folder; none where it is not there."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))

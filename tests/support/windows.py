"""A pretended Windows: what its file system and its texts refuse, for a test on another system."""

import builtins
import io
import os
import re
from pathlib import Path
from typing import Any

import pytest

RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
LONGEST = 259


def in_use(path: Path) -> bool:
    """Whether this process has a file mapped or open, as Linux lists it."""
    real = os.path.realpath(path)
    if any(line.endswith(real) for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()):
        return True
    for entry in os.scandir("/proc/self/fd"):
        try:
            if os.readlink(entry.path) == real:
                return True
        except OSError:  # closed meanwhile
            continue
    return False


def check_name(path: Any) -> None:
    """Raise the error that Windows gives for a name it cannot have."""
    if isinstance(path, int):
        return
    name = os.path.basename(os.fspath(path))
    bad = RESERVED.fullmatch(name) or name.endswith((".", " ")) or re.search(r'[<>:"|?*\\]', name)
    if bad or len(os.path.abspath(path)) > LONGEST:
        raise OSError(22, "The filename, directory name, or volume label syntax is incorrect", str(path))


def pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace, rename and remove refuse files in use; files and folders are not made under impossible names."""
    for function in ("replace", "rename", "unlink", "remove"):
        monkeypatch.setattr(os, function, _refusing(getattr(os, function)))
    real = io.open

    def opened(file: Any, mode: str = "r", *arguments: Any, **more: Any) -> Any:
        if set(mode) & set("wax+"):
            check_name(file)
        return real(file, mode, *arguments, **more)

    monkeypatch.setattr(io, "open", opened)
    monkeypatch.setattr(builtins, "open", opened)


def _refusing(real: Any) -> Any:
    def work(*paths: Any, **more: Any) -> Any:
        for path in paths:
            if os.path.lexists(path) and in_use(Path(path)):
                raise PermissionError(13, "The process cannot access the file because it is being used", str(path))
        check_name(paths[-1])
        return real(*paths, **more)

    return work

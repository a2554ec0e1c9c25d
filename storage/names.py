"""Names of files: as they may be shown, and as new ones may be chosen."""

import re
from pathlib import Path

LONGEST_NAME = 120
"""Characters of a new name: leaves room for the folder within the 260 of a path on Windows."""
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Names that are devices on Windows, with any ending (Microsoft: Naming Files, Paths, and Namespaces)."""


def printable(text: object) -> str:
    """A text that every terminal, log and browser can show: what is not Unicode in it is escaped (`\\udcff`).

    Names of files from old archives or network shares may be no UTF-8. Python keeps their bytes as lone surrogates, at
    which printing raises an error.
    """
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


def name_of(path: Path) -> str:
    """The name of a file for messages, in quotes."""
    return f"'{printable(path.name)}'"


def check_new_name(name: str) -> str:
    """A new file's name without ending, as it is.

    Raises ValueError for one that would leave its folder, or that one of the operating systems cannot have.
    """
    if not re.fullmatch(r"\w[\w .-]*", name):
        why = "Use letters, digits, '-', '_', '.' and spaces"
    elif len(name) > LONGEST_NAME:
        why = f"It has {len(name)} characters; the most are {LONGEST_NAME}"
    elif name.endswith((".", " ")):
        why = "Windows cannot have a dot or a space at the end"
    elif RESERVED.fullmatch(name):
        why = "Windows reserves it for a device"
    else:
        return name
    shown = printable(name if len(name) <= LONGEST_NAME else f"{name[:40]}...")
    raise ValueError(f"'{shown}' is not a good name for a file. {why}. Choose another name.")


def next_number(folder: Path, name: str) -> int:
    """The number after the largest in a folder's files and folders that are called NAME_<number>, with any ending."""
    numbered = re.compile(re.escape(name) + r"_(\d{1,9})(?:\.\w{1,9})?")
    taken = [int(found[1]) for path in folder.glob("*") if (found := numbered.fullmatch(path.name))]
    return max(taken, default=0) + 1

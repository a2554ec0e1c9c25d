"""Tables of docs/reliability.md: what a part of the robustness tests tried, how often, and what happened."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zeroconv.storage.names import printable

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"

PYTHON = re.compile(
    r"object has no|out of range|codec can't|NoneType|unhashable|not subscriptable|not iterable|Traceback|<class|"
    r"unpack|argument must|unsupported operand|invalid literal|enforce fail|rror: |embedded null|\[Errno"
)
"""Words of Python and its libraries, which tell nobody at a canvas what to do."""


class Budget:
    """How long, and how often at least, something is tried."""

    def __init__(self, seconds: float, least: int = 1) -> None:
        self._end, self._least, self.done = time.monotonic() + seconds, least, 0

    def more(self) -> bool:
        """Whether to try once more; counts."""
        go_on = self.done < self._least or time.monotonic() < self._end
        self.done += go_on
        return go_on


@dataclass
class Table:
    """name: of its place in the document. faults: what broke a promise, one a line."""

    name: str
    header: Sequence[str]
    rows: list[Sequence[object]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [self.header, ["---", *["---:"] * (len(self.header) - 1)], *self.rows]
        return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)

    def write(self, document: Path = DOCUMENT) -> None:
        """Put it in the place of the table of that name."""
        text = document.read_text(encoding="utf-8")
        start, end = places(self.name)
        before, found, rest = text.partition(start)
        if not found or end not in rest:
            raise ValueError(f"{document.name} has no place '{start}'.")
        document.write_text(f"{before}{start}\n{self}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def places(name: str) -> tuple[str, str]:
    """What stands before and after a table in the document."""
    return f"<!-- {name} -->", f"<!-- end of {name} -->"


def written(name: str, document: Path = DOCUMENT) -> list[list[str]]:
    """The cells of a table in the document, its header first."""
    start, end = places(name)
    table = document.read_text(encoding="utf-8").partition(start)[2].partition(end)[0].strip().splitlines()
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return [lines[0], *lines[2:]]


def complain(text: str, names: Sequence[str] = ()) -> str:
    """What is wrong with a message; empty if it is a good one. names: one of them must be in it, if there are any."""
    if names and not any(name in text for name in names):
        return "does not name the file"
    if printable(text) != text:
        return "cannot be printed"
    return "speaks Python" if PYTHON.search(text) else ""

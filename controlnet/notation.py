"""Reading the short texts that people type into widgets: schedules, weights, strengths per item.

A mistake raises ValueError that shows the line and marks the place, since a canvas has no other way to point at it.
"""

import math
import re
from typing import NoReturn

LONGEST_NUMBER = 18
"""Digits of a whole number."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WHOLE = re.compile(r"[+-]?\d+")
_SPACE = re.compile(r"[^\S\n]*")
_SEPARATOR = re.compile(r"\s*[,;\n]\s*")
_WORD = re.compile(r"[A-Za-z][A-Za-z-]*")


class Scanner:
    """Takes a text apart from left to right; entries are parted by commas, semicolons or line ends.

    what: what the text describes, for messages ("schedule", "block weights", ...).
    """

    def __init__(self, text: str, what: str) -> None:
        self.text = text.rstrip().rstrip(",;").rstrip()
        self.what = what
        self.place = len(self.text) - len(self.text.lstrip())

    @property
    def at_end(self) -> bool:
        return self.place >= len(self.text)

    def number(self, meaning: str) -> float:
        """A finite number; `meaning` names it in the message ("a position")."""
        place = self.place
        value = float(self._take(_NUMBER) or self.fail(f"expected {meaning}, a number"))
        return value if math.isfinite(value) else self.fail(f"{meaning} is too large", place)

    def whole(self, meaning: str) -> int:
        """A whole number; negative ones count from the end."""
        place = self.place
        digits = self._take(_WHOLE) or self.fail(f"expected {meaning}, a whole number")
        return int(digits) if len(digits) <= LONGEST_NUMBER else self.fail(f"{meaning} is too large", place)

    def words(self) -> str:
        """The words up to the next separator, in lower case, joined by single spaces; empty if there are none."""
        found = []
        while word := self._take(_WORD):
            found.append(word.lower())
        return " ".join(found)

    def accept(self, symbol: str) -> bool:
        """Step over the symbol if it comes next."""
        return self._take(re.compile(re.escape(symbol))) is not None

    def expect(self, symbol: str, meaning: str) -> None:
        if not self.accept(symbol):
            self.fail(f"expected '{symbol}' {meaning}")

    def end_entry(self) -> None:
        """Step over the separator after an entry, or be at the end."""
        if not self.at_end and self._take(_SEPARATOR) is None:
            self.fail("expected a comma before the next entry")

    def fail(self, problem: str, place: int | None = None) -> NoReturn:
        """Raise ValueError with the line and a mark under the place (the present one if not given)."""
        place = self.place if place is None else place
        start = self.text.rfind("\n", 0, place) + 1
        line = self.text[start:].split("\n", 1)[0]
        found = _found(self.text[place:])
        mark = " " * (place - start) + "^"
        raise ValueError(f"The {self.what} has a mistake: {problem}{found}.\n{line}\n{mark}")

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        """Match after blanks; the place moves only if the pattern matches, and then past the blanks behind it."""
        blanks = _SPACE.match(self.text, self.place)
        begin = blanks.end() if blanks else self.place
        match = pattern.match(self.text, begin)
        if match is None:
            self.place = begin
            return None
        after = _SPACE.match(self.text, match.end())
        self.place = after.end() if after else match.end()
        return match.group()


def _found(rest: str) -> str:
    word = re.match(r"[^\s,;]+|[,;]", rest)
    return f", found '{word.group()}'" if word else ", but the text ends" if not rest else ""


def format_number(value: float) -> str:
    """The shortest decimal that reads back as the same number, without a trailing `.0`."""
    return repr(float(value)).removesuffix(".0")

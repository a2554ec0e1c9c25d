"""Strength for each picture of a batch or frame of a video."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..notation import Scanner, format_number


@dataclass(frozen=True)
class ItemStrength:
    """Strength of the items first..stop-1, counted as Python does: negative from the end, stop left out.

    stop None: only the item `first`, or with `open_end` all from there on.
    """

    first: int
    stop: int | None
    strength: float
    open_end: bool = False

    def indices(self, count: int) -> range:
        """The items of a batch of `count`. Raises ValueError, with the count, for one that is not there."""
        if self.stop is None and not self.open_end:
            index = self.first + count if self.first < 0 else self.first
            if not 0 <= index < count:
                raise ValueError(
                    f"Strength per item names item {self.first}, but the batch has {count} items "
                    f"(0 to {count - 1}, or -{count} to -1 from the end)."
                )
            return range(index, index + 1)
        first, stop, _ = slice(self.first, self.stop).indices(count)
        if self.stop is not None and self.stop > count:
            raise ValueError(f"Strength per item reaches to item {self.stop}, but the batch has {count} items.")
        return range(first, stop)


@dataclass(frozen=True)
class ItemStrengths:
    """Factor for every item of a batch, written `0: 1, 1:3 = 0.5, -1: 0`; later entries overrule earlier ones.

    interpolated: items between named ones change evenly from one to the other (frames of a video); before the
    first and after the last named one they stay. others: the factor of items that are not named, where those between
    are not interpolated. missing_allowed: pass over items that the batch does not have.
    """

    entries: tuple[ItemStrength, ...]
    interpolated: bool = False
    others: float = 1.0
    missing_allowed: bool = False

    @classmethod
    def parse(cls, text: str, interpolated: bool = False) -> "ItemStrengths":
        """Read entries `item: strength` or `first:stop = strength`; raises ValueError that marks a mistake."""
        scanner = Scanner(text, "list of strengths per item")
        entries = []
        while not scanner.at_end:
            entries.append(_read_entry(scanner))
            scanner.end_entry()
        return cls(tuple(entries), interpolated)

    def __str__(self) -> str:
        return ", ".join(_format_entry(entry) for entry in self.entries)

    def factors(self, count: int) -> tuple[float, ...]:
        """`count` factors. Raises ValueError, with the count, for an item that is not there."""
        named: dict[int, float] = {}
        for entry in self.entries:
            try:
                named.update(dict.fromkeys(entry.indices(count), entry.strength))
            except ValueError:
                if not self.missing_allowed:
                    raise
        if not self.interpolated or not named:
            return tuple(named.get(index, self.others) for index in range(count))
        return tuple(_between(sorted(named.items()), index) for index in range(count))

    @property
    def is_one(self) -> bool:
        return self.others == 1 and all(entry.strength == 1 for entry in self.entries)

    def at_frames(self, frames: Sequence[int], total: int | None = None) -> tuple[float, ...]:
        """Factors of some frames of a video. total: how many it has; without it, none can be counted from its end.

        Raises ValueError for an item that is not there, or is counted from an unknown end.
        """
        if total is None:
            bounds = [b for entry in self.entries for b in (entry.first, entry.stop) if b is not None]
            if min(bounds, default=0) < 0:
                raise ValueError(
                    "Strength per item counts from the end, but in context windows this ComfyUI does not tell how many "
                    "frames there are. Count from the start: 0 is the first frame."
                )
            total = 1 + max((*bounds, *frames), default=0)
        factors = self.factors(total)
        return tuple(factors[frame] for frame in frames)


def _between(named: list[tuple[int, float]], index: int) -> float:
    below = max((pair for pair in named if pair[0] <= index), default=named[0])
    above = min((pair for pair in named if pair[0] >= index), default=named[-1])
    if above[0] <= below[0]:
        return below[1]
    way = (index - below[0]) / (above[0] - below[0])
    return below[1] * (1 - way) + above[1] * way


def _read_entry(scanner: Scanner) -> ItemStrength:
    """`i: s`, `i = s`, `a:b = s`, `a: = s` (open end) or `:b = s`.

    What follows a colon is the strength, unless an equals sign comes after it: then it was the stop of a range.
    """
    if scanner.accept(":"):
        stop = scanner.whole("the end of a range")
        scanner.expect("=", "between the range and its strength")
        return ItemStrength(0, stop, scanner.number("a strength"))
    first = scanner.whole("an item number")
    if scanner.accept("="):
        return ItemStrength(first, None, scanner.number("a strength"))
    scanner.expect(":", "between the item and its strength")
    if scanner.accept("="):
        return ItemStrength(first, None, scanner.number("a strength"), open_end=True)
    place = scanner.place
    value = scanner.number("a strength or the end of a range")
    if not scanner.accept("="):
        return ItemStrength(first, None, value)
    if value != int(value):
        scanner.fail("a range ends at a whole number", place)
    return ItemStrength(first, int(value), scanner.number("a strength"))


def _format_entry(entry: ItemStrength) -> str:
    strength = format_number(entry.strength)
    if entry.open_end:
        return f"{entry.first}: = {strength}"
    if entry.stop is not None:
        return f"{entry.first}:{entry.stop} = {strength}"
    return f"{entry.first}: {strength}"

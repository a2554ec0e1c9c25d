"""Which hint goes to which picture of a batch or frame of a video, and how strongly each is controlled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ..notation import Scanner, format_number

HintOrder = Literal["one each", "repeat", "hold last", "first for all"]
HINT_ORDERS: tuple[HintOrder, ...] = get_args(HintOrder)

_PICK: dict[HintOrder, Callable[[int, int], int]] = {
    "one each": lambda picture, hints: picture,
    "repeat": lambda picture, hints: picture % hints,
    "hold last": lambda picture, hints: min(picture, hints - 1),
    "first for all": lambda picture, hints: 0,
}


def hint_indices(
    hints: int,
    pictures: int,
    order: HintOrder = "one each",
    window: Sequence[int] | None = None,
    what: Literal["hint image", "mask"] = "hint image",
) -> tuple[int, ...]:
    """Index of the hint for each picture that is sampled together.

    hints: how many there are; one serves all pictures in any order. pictures: rows of one side of the step.
    window: of video in context windows, the frames (of the whole video) that these pictures are. what: for messages.
    Raises ValueError, with both counts, when the numbers do not fit: "one each" needs a hint for every picture.
    """
    frames = tuple(window) if window is not None else tuple(range(pictures))
    if len(frames) != pictures:
        raise ValueError(f"The context window has {len(frames)} frames, but {pictures} latents are sampled together.")
    if hints == 1:
        return (0,) * pictures
    too_few = max(frames, default=0) >= hints
    too_many = window is None and hints > pictures
    if order == "one each" and (too_few or too_many):
        wanted = max(frames) + 1
        raise ValueError(
            f"The ControlNet has {hints} {what}s for {wanted} latents. Give one, or as many as the latent batch holds, "
            "or choose in Fit Hint how to spread them (repeat, hold last, first for all)."
        )
    return tuple(_PICK[order](frame, hints) for frame in frames)


NO_HINT = -1
"""Index of a frame without: networks that know such frames keep what stands for it behind the last hint."""


def spread_hints(hints: int, frames: Sequence[int], total: int | None, chosen: Sequence[int] = ()) -> tuple[int, ...]:
    """Index of the hint of some frames of a video, NO_HINT for a frame without.

    total: frames of the whole video, None if unknown. chosen: the frame of every hint, negative from the end. Without:
    evenly, from the first frame to the last; one hint is the first frame's, and hints that are too many are left out.
    Raises ValueError, with the counts, for a choice that does not fit or a number of frames that must be known.
    """
    if chosen and len(chosen) != hints:
        raise ValueError(f"Fit Hint names {len(chosen)} frames for {hints} hint images. Name one frame for each hint.")
    if total is None:
        if min(chosen, default=-1) < 0:
            raise ValueError(
                "In context windows this ComfyUI does not tell how many frames the video has. Name the frame of each "
                "hint in Fit Hint, counted from the start: 0 is the first."
            )
        total = 1 + max(*frames, *chosen)
    count = min(hints, total)
    even = [index * (total - 1) // max(1, count - 1) for index in range(count)]
    places = [place + total if place < 0 else place for place in chosen] or even
    if len(set(places)) < len(places) or not all(0 <= place < total for place in places):
        raise ValueError(
            f"Fit Hint gives hints to the frames {', '.join(map(str, chosen))}, but the video has the frames 0 to "
            f"{total - 1}. Name each of them once at most."
        )
    return tuple(places.index(frame) if frame in places else NO_HINT for frame in frames)


def parse_frames(text: str) -> tuple[int, ...]:
    """Read frame numbers, `0, 8, -1`. Raises ValueError that marks a mistake."""
    scanner = Scanner(text, "list of frames")
    frames = []
    while not scanner.at_end:
        frames.append(scanner.whole("the number of a frame"))
        scanner.end_entry()
    return tuple(frames)


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
    first and after the last named one they stay. Otherwise items that are not named have the factor 1.
    """

    entries: tuple[ItemStrength, ...]
    interpolated: bool = False

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
            named.update(dict.fromkeys(entry.indices(count), entry.strength))
        if not self.interpolated or not named:
            return tuple(named.get(index, 1.0) for index in range(count))
        return tuple(_between(sorted(named.items()), index) for index in range(count))

    @property
    def is_one(self) -> bool:
        return all(entry.strength == 1 for entry in self.entries)

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

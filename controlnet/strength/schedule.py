"""Strength over the sampling: a curve through keyframes, written as `0: 1, 0.5: 0.6 ease, 1: 0`."""

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from ..notation import Scanner, format_number
from .timeline import Counting

Interpolation = Literal["linear", "hold", "ease", "ease in", "ease out"]
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)

CURVES: dict[Interpolation, Callable[[float], float]] = {
    "linear": lambda t: t,
    "hold": lambda t: 0.0,
    "ease": lambda t: t * t * (3 - 2 * t),
    "ease in": lambda t: t * t,
    "ease out": lambda t: t * (2 - t),
}
"""How far the strength has gone to the next keyframe at the fraction t of the way, both 0..1."""

_SPELLINGS: dict[str, Interpolation] = {
    "": "linear",
    **{word: word for word in INTERPOLATIONS},
    "ease-in": "ease in",
    "ease-out": "ease out",
    **dict.fromkeys(("ease in-out", "ease in out", "ease-in-out"), "ease"),
}


@dataclass(frozen=True)
class Keyframe:
    """The strength at a position; `interpolation` says how it goes from here to the next keyframe."""

    position: float
    strength: float
    interpolation: Interpolation = "linear"


@dataclass(frozen=True)
class Schedule:
    """Factor on the strength of a control at every position of the sampling.

    keyframes: in the order of sampling. Positions are fractions 0..1, or, counted in sigma, noise levels that fall.
    Two keyframes at one position make a jump: the second counts from there on.
    Raises ValueError when there is no keyframe, or one is out of range or out of order.
    """

    keyframes: tuple[Keyframe, ...]
    counting: Counting = "timesteps"

    def __post_init__(self) -> None:
        if not self.keyframes:
            raise ValueError("The schedule has no keyframe. Write at least one, such as '0: 1'.")
        previous = None
        for keyframe in self.keyframes:
            problem = _problem(keyframe, previous, self.counting)
            if problem:
                raise ValueError(f"The schedule has a mistake: {problem}.")
            previous = keyframe

    @classmethod
    def parse(cls, text: str, counting: Counting = "timesteps") -> "Schedule":
        """Read `position: strength interpolation, ...`; raises ValueError that marks the place of a mistake."""
        scanner = Scanner(text, "schedule")
        keyframes: list[Keyframe] = []
        if scanner.at_end:
            scanner.fail("it has no keyframe; write at least one, such as '0: 1'")
        while not scanner.at_end:
            start = scanner.place
            keyframe = _read_keyframe(scanner)
            problem = _problem(keyframe, keyframes[-1] if keyframes else None, counting)
            if problem:
                scanner.fail(problem, start)
            keyframes.append(keyframe)
            scanner.end_entry()
        return cls(tuple(keyframes), counting)

    def __str__(self) -> str:
        """The text that `parse` reads back as the same keyframes."""
        return ", ".join(_format_keyframe(keyframe) for keyframe in self.keyframes)

    def with_keyframe(self, keyframe: Keyframe) -> "Schedule":
        """A schedule with one more keyframe, put where its position belongs."""
        order = _order(self.counting)
        keyframes = sorted((*self.keyframes, keyframe), key=lambda k: order(k.position))
        return replace(self, keyframes=tuple(keyframes))

    def factor(self, position: float) -> float:
        """The factor at a position in the schedule's own counting; constant before and after all keyframes."""
        order = _order(self.counting)
        after = bisect_right(self.keyframes, order(position), key=lambda k: order(k.position))
        if after == 0:
            return self.keyframes[0].strength
        before = self.keyframes[after - 1]
        if after == len(self.keyframes):
            return before.strength
        towards = self.keyframes[after]
        way = CURVES[before.interpolation]((position - before.position) / (towards.position - before.position))
        return before.strength * (1 - way) + towards.strength * way

    @property
    def is_one(self) -> bool:
        """Whether it changes nothing anywhere."""
        return all(keyframe.strength == 1 for keyframe in self.keyframes)

    @property
    def is_zero(self) -> bool:
        """Whether nothing acts anywhere."""
        return all(keyframe.strength == 0 for keyframe in self.keyframes)


def _order(counting: Counting) -> Callable[[float], float]:
    """Maps positions to numbers that rise during sampling; sigma falls."""
    return (lambda position: -position) if counting == "sigma" else (lambda position: position)


def _problem(keyframe: Keyframe, previous: Keyframe | None, counting: Counting) -> str | None:
    position = format_number(keyframe.position)
    if keyframe.interpolation not in INTERPOLATIONS:
        return f"'{keyframe.interpolation}' is not an interpolation; use one of {', '.join(INTERPOLATIONS)}"
    if not math.isfinite(keyframe.strength):
        return f"the strength at {position} is not a finite number"
    if counting == "sigma" and not 0 <= keyframe.position < math.inf:
        return f"the position {position} is not a sigma; sigmas are 0 or more"
    if counting != "sigma" and not 0 <= keyframe.position <= 1:
        return f"the position {position} is outside 0..1, the beginning and the end of the sampling"
    order = _order(counting)
    if previous is not None and order(keyframe.position) < order(previous.position):
        direction = "sigmas fall during sampling" if counting == "sigma" else "positions must rise"
        return f"the position {position} comes after {format_number(previous.position)}, but {direction}"
    return None


def _read_keyframe(scanner: Scanner) -> Keyframe:
    position = scanner.number("a position")
    scanner.expect(":", "between the position and the strength")
    strength = scanner.number("a strength")
    place = scanner.place
    words = scanner.words()
    if words not in _SPELLINGS:
        scanner.fail(f"'{words}' is not an interpolation; use one of {', '.join(INTERPOLATIONS)}", place)
    return Keyframe(position, strength, _SPELLINGS[words])


def _format_keyframe(keyframe: Keyframe) -> str:
    word = "" if keyframe.interpolation == "linear" else f" {keyframe.interpolation}"
    return f"{format_number(keyframe.position)}: {format_number(keyframe.strength)}{word}"

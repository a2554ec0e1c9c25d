"""A pair to train on, and the list of those that were found."""

from dataclasses import dataclass, field

from .pictures import Picture

HINT_COLUMNS = ("conditioning_image", "conditioning", "control_image", "source", "hint")
TARGET_COLUMNS = ("image", "file_name", "target")


@dataclass(frozen=True)
class Pair:
    """A picture, the hint that belongs to it, and its prompt.

    hint: None when it is to be made from the picture. repeats: how often the pair is shown in an epoch.
    """

    target: Picture
    hint: Picture | None
    prompt: str
    repeats: int = 1


@dataclass(frozen=True)
class Listing:
    """The pairs found in a folder. problems: one line for each entry that was skipped, beginning with its name."""

    layout: str
    pairs: list[Pair] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

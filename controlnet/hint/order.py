"""Which hint goes to which picture of a batch or frame of a video."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

from ..notation import Scanner

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
            "or choose in Resize Hint how to spread them (repeat, hold last, first for all)."
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
        raise ValueError(
            f"Resize Hint names {len(chosen)} frames for {hints} hint images. Name one frame for each hint."
        )
    if total is None:
        if min(chosen, default=-1) < 0:
            raise ValueError(
                "In context windows this ComfyUI does not tell how many frames the video has. Name the frame of each "
                "hint in Resize Hint, counted from the start: 0 is the first."
            )
        total = 1 + max(*frames, *chosen)
    count = min(hints, total)
    even = [index * (total - 1) // max(1, count - 1) for index in range(count)]
    places = [place + total if place < 0 else place for place in chosen] or even
    if len(set(places)) < len(places) or not all(0 <= place < total for place in places):
        raise ValueError(
            f"Resize Hint gives hints to the frames {', '.join(map(str, chosen))}, but the video has the frames 0 to "
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

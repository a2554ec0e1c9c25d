"""The values that Advanced-ControlNet's keyframe and weight nodes hand on, and how a control of ours obeys them.

A control of ours has one set of weights, items and mask for a whole sampling, and a schedule of its strength. Keyframes
that change more become several controls in a chain, each with the schedule of its own part of the sampling: they share
the network, and it runs once for a step.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor

from ...controlnet.strength.block_weights import BlockWeights
from ...controlnet.strength.per_item import ItemStrength, ItemStrengths
from ...controlnet.strength.schedule import Keyframe, Schedule

Easing = Literal["linear", "ease-in", "ease-out", "ease-in-out"]
EASINGS = ("linear", "ease-in", "ease-out", "ease-in-out")


@dataclass(frozen=True, eq=False)
class ControlWeights:
    """CONTROL_NET_WEIGHTS. blocks: over the depth, None for all alike. negative: factor for the negative prompt.

    inpaint_mask: (B, H, W), 1 where an inpainting network is to paint anew.
    """

    blocks: BlockWeights | None = None
    negative: float = 1.0
    inpaint_mask: Tensor | None = None


@dataclass(frozen=True, eq=False)
class LatentKeyframes:
    """LATENT_KEYFRAME: a strength for items of the batch by their number, negative from the end."""

    strengths: Mapping[int, float] = field(default_factory=dict)

    def over(self, others: "LatentKeyframes | None") -> "LatentKeyframes":
        """With those of `others`, which win, as the node wired before wins there."""
        return LatentKeyframes({**self.strengths, **(others.strengths if others else {})})

    def items(self, unnamed: float) -> ItemStrengths:
        """As a factor for every item. unnamed: of those without a keyframe; items that are not there do not count."""
        entries = tuple(ItemStrength(item, None, strength) for item, strength in sorted(self.strengths.items()))
        return ItemStrengths(entries, others=unnamed, missing_allowed=True)


@dataclass(frozen=True, eq=False)
class TimestepKeyframe:
    """The settings that hold from a position of the sampling on, 0..1.

    unnamed: strength of the items without a latent keyframe. inherits: whether weights, items and mask that it does not
    have are those of the keyframe before.
    """

    start: float = 0.0
    strength: float = 1.0
    weights: ControlWeights | None = None
    latents: LatentKeyframes | None = None
    unnamed: float = 0.0
    inherits: bool = True
    mask: Tensor | None = None


TimestepKeyframes = tuple[TimestepKeyframe, ...]
"""TIMESTEP_KEYFRAME, in the order of their starts; those of one start in the order in which they were added."""

BEGINNING: TimestepKeyframes = (TimestepKeyframe(),)
"""The settings before the first keyframe."""


def with_keyframes(before: TimestepKeyframes | None, *added: TimestepKeyframe) -> TimestepKeyframes:
    return tuple(sorted((*(before or BEGINNING), *added), key=lambda keyframe: keyframe.start))


@dataclass(frozen=True, eq=False)
class Part:
    """Factors that stay the same over the whole sampling, and when and how strongly they act."""

    schedule: Schedule | None
    weights: ControlWeights | None = None
    items: ItemStrengths | None = None
    mask: Tensor | None = None


def parts_of(
    keyframes: TimestepKeyframes | None, latents: LatentKeyframes | None, weights: ControlWeights | None
) -> list[Part]:
    """The parts of a sampling, each a control of its own. latents, weights: in place of those of all keyframes."""
    states = _states(keyframes or BEGINNING, latents, weights)
    alike = {}
    for state in states:
        alike.setdefault((id(state.weights), id(state.latents), state.unnamed, id(state.mask)), []).append(state)
    return [_part(members, states) for members in alike.values()]


def _states(
    keyframes: TimestepKeyframes, latents: LatentKeyframes | None, weights: ControlWeights | None
) -> list[TimestepKeyframe]:
    """The keyframes with all that they inherit; of those with one start, the last."""
    states: list[TimestepKeyframe] = []
    before = TimestepKeyframe()
    for keyframe in keyframes:
        inherited = before if keyframe.inherits else TimestepKeyframe()
        found = keyframe.latents or inherited.latents
        before = TimestepKeyframe(
            keyframe.start,
            keyframe.strength,
            keyframe.weights or inherited.weights,
            found,
            keyframe.unnamed,
            keyframe.inherits,
            inherited.mask if keyframe.mask is None else keyframe.mask,
        )
        chosen = latents or found
        states.append(
            TimestepKeyframe(
                before.start,
                before.strength,
                weights or before.weights,
                chosen,
                before.unnamed if chosen is not None else 1.0,
                mask=before.mask,
            )
        )
    return [list(group)[-1] for _, group in groupby(states, key=lambda state: state.start)]


def _part(members: list[TimestepKeyframe], states: Sequence[TimestepKeyframe]) -> Part:
    """The part in which these of all states act."""
    steps = tuple(Keyframe(state.start, state.strength if state in members else 0.0, "hold") for state in states)
    first = members[0]
    items = None if first.latents is None else first.latents.items(first.unnamed)
    schedule = Schedule(steps)
    return Part(None if schedule.is_one else schedule, first.weights, items, first.mask)


def between(first: float, last: float, count: int, easing: Easing) -> list[float]:
    """`count` values from the first to the last."""
    way = torch.linspace(0, 1, count, dtype=torch.float64)
    if easing == "ease-in":
        way = way**2
    elif easing == "ease-out":
        way = 1 - (1 - way) ** 2
    elif easing == "ease-in-out":
        way = (1 - torch.cos(way * torch.pi)) / 2
    return (first + (last - first) * way).tolist()


def parse_latent_keyframes(text: str, item_count: int | None) -> LatentKeyframes:
    """Read `0, 2=0.5, 4:8=0.3`: items and ranges, 1 where no strength is written; the end of a range is left out.

    item_count: of the batch, where it is known; numbers may then count from its end. Raises ValueError.
    """
    strengths: dict[int, float] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        place, _, strength = entry.partition("=")
        try:
            value = float(strength) if strength.strip() else 1.0
            bounds = [int(bound) for bound in place.split(":")]
        except ValueError:
            raise ValueError(
                f"'{entry}' is not a strength of latents; write an item or a range and its strength, as 3=0.5 or 4:8=1."
            ) from None
        strengths.update(dict.fromkeys(_items(entry, bounds, item_count), value))
    return LatentKeyframes(strengths)


def _items(entry: str, bounds: list[int], item_count: int | None) -> Iterable[int]:
    if len(bounds) > 2 or (item_count is None and min(bounds) < 0):
        raise ValueError(f"'{entry}' counts from the end of a batch: wire its latents to latent_optional.")
    if len(bounds) == 2:
        return range(*bounds) if item_count is None else range(item_count)[bounds[0] : bounds[1]]
    if item_count is None:
        return bounds
    if not -item_count <= bounds[0] < item_count:
        raise ValueError(f"'{entry}' names an item that is not there: the batch has {item_count}.")
    return [bounds[0] % item_count]

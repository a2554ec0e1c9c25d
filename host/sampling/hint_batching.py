"""One run of a network for all controls of a chain that share it, each with a hint of its own.

To the network more hints are more pictures. Its weights are read once for all of them, which is what a small picture
mostly waits for: two hints take 0.70 of the time of two runs at 128 px, 0.86 at 256 px, 1.00 at 512 px on a CPU
(benchmarks/grouped.py). Networks with other weights gain nothing from being evaluated together.
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import torch
from torch import Tensor

from ...controlnet.residuals import Residuals

MOST_POINTS = 4 * 64 * 64
"""Latent points in all rows of a joint run, as of two hints at 512 px with cond and uncond. Beyond that nothing is
gained, and the memory of one run must not grow with the chain."""

Asking = TypeVar("Asking")


class JointRuns(Generic[Asking]):
    """What the controls of a chain ask of their networks at one step."""

    def __init__(self) -> None:
        self._asked: dict[Hashable, list[Asking]] = {}
        self._given: dict[int, Residuals] = {}

    def announce(self, question: Hashable, control: Asking) -> None:
        """Say that a control will ask for residuals. question: equal for all that one run can answer."""
        self._asked.setdefault(question, []).append(control)

    def residuals(
        self,
        question: Hashable,
        control: Asking,
        rows: tuple[int, int],
        embed: Callable[[Asking], Tensor],
        run: Callable[[Tensor, int], Residuals],
    ) -> Residuals:
        """Those of one control, from a run of its own or from one for all that announced the same question.

        rows: groups, and pictures in each. embed: gives the embedded hints of a control, (1 or pictures, width, h, w).
        run: evaluates the network for hints (copies * pictures, ...): residuals of (groups, copies, pictures) rows.
        """
        if id(control) in self._given:
            return self._given.pop(id(control))
        own, waiting = embed(control), self._asked.get(question, [])
        if control not in waiting:
            return run(own, 1)
        waiting.remove(control)
        groups, pictures = rows
        copies = max(1, MOST_POINTS // (groups * pictures * own.shape[-2] * own.shape[-1]))
        others, self._asked[question] = waiting[: copies - 1], waiting[copies - 1 :]
        if not others:
            return run(own, 1)
        hints = [hint.expand(pictures, -1, -1, -1) for hint in (own, *map(embed, others))]
        together = run(torch.cat(hints), len(hints))
        mine, *theirs = (_part(together, groups, len(hints), index) for index in range(len(hints)))
        self._given.update(zip(map(id, others), theirs, strict=True))
        return mine


def repeat_pictures(values: Tensor, groups: int, copies: int) -> Tensor:
    """(groups * pictures, ...) -> (groups * copies * pictures, ...): the pictures of each group several times."""
    if copies == 1:
        return values
    return torch.cat([part for group in values.chunk(groups) for part in (group,) * copies])


def _part(together: Residuals, groups: int, copies: int, index: int) -> Residuals:
    return together.map(lambda values: values.unflatten(0, (groups, copies, -1))[:, index].flatten(0, 1))

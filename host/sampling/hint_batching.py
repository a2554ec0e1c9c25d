"""One run of a network for all controls of a chain that share it, each with a hint of its own.

To the network more hints are more pictures. Its weights are read once for all of them, which is what a small picture
mostly waits for: two hints take 0.70 of the time of two runs at 128 px, 0.86 at 256 px, 1.00 at 512 px on a CPU
(benchmarks/grouped.py). Networks with other weights gain nothing from being evaluated together.
"""

from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from ...controlnet.residuals import Residuals

MOST_POINTS = 4 * 64 * 64
"""Latent points in all rows of a joint run, as of two hints at 512 px with cond and uncond. Beyond that nothing is
gained, and the memory of one run must not grow with the chain."""


class HintBatches:
    """The hints that the controls of a chain want to run through their networks at one step."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, dict[Hashable, Callable[[], Tensor]]] = {}
        self._results: dict[Hashable, Residuals] = {}

    def announce(self, question: Hashable, asker: Hashable, hint: Callable[[], Tensor]) -> None:
        """Say that residuals will be asked for.

        question: equal for all that one run can answer. asker: whose residuals they are. hint: gives the embedded hints
        of this asker, (1 or items, width, h, w).
        """
        self._waiting.setdefault(question, {})[asker] = hint

    def residuals(
        self,
        question: Hashable,
        asker: Hashable,
        rows: tuple[int, int],
        hint: Callable[[], Tensor],
        run: Callable[[Tensor, int], Residuals],
    ) -> Residuals:
        """The residuals of one asker, from a run of its own or from one for all that announced the same question.

        rows: groups, and items in each. run: evaluates the network for hints of (copies * items, ...) and gives
        residuals of (groups, copies, items) rows.
        """
        if asker in self._results:
            return self._results.pop(asker)
        own, waiting = hint(), self._waiting.get(question, {})
        if waiting.pop(asker, None) is None:
            return run(own, 1)
        group_count, item_count = rows
        copies = max(1, MOST_POINTS // (group_count * item_count * own.shape[-2] * own.shape[-1]))
        others = list(waiting)[: copies - 1]
        if not others:
            return run(own, 1)
        hints = [own, *(waiting.pop(other)() for other in others)]
        together = run(torch.cat([one.expand(item_count, -1, -1, -1) for one in hints]), len(hints))
        mine, *theirs = (_part(together, group_count, len(hints), index) for index in range(len(hints)))
        self._results.update(zip(others, theirs, strict=True))
        return mine


def repeat_items(values: Tensor, group_count: int, copies: int) -> Tensor:
    """(groups * items, ...) -> (groups * copies * items, ...): the items of each group several times."""
    if copies == 1:
        return values
    return torch.cat([part for group in values.chunk(group_count) for part in (group,) * copies])


def _part(together: Residuals, group_count: int, copies: int, index: int) -> Residuals:
    return together.map(lambda values: values.unflatten(0, (group_count, copies, -1))[:, index].flatten(0, 1))

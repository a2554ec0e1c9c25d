"""Which pairs each step sees: shuffled by epoch, grouped by size, the same in every process."""

from collections import defaultdict
from collections.abc import Hashable, Sequence

import torch

from ..objective import numbered_generator


class Order:
    """Groups of samples of one size, each group being what all processes compute in one pass.

    Every sample comes at least once an epoch; a size whose samples do not fill its last group repeats some.
    """

    def __init__(self, sizes: Sequence[Hashable], group: int, seed: int) -> None:
        """sizes: of every pair. group: pairs in a group."""
        if not sizes:
            raise ValueError("The dataset is empty: there is nothing to train on.")
        self._group, self._seed = group, seed
        buckets: dict[Hashable, list[int]] = defaultdict(list)
        for index, size in enumerate(sizes):
            buckets[size].append(index)
        self._buckets = list(buckets.values())
        self.groups_per_epoch = sum(-(-len(bucket) // group) for bucket in self._buckets)
        self._epoch = -1
        self._groups: list[list[int]] = []

    def group(self, number: int) -> list[int]:
        """Indices of the pairs in the group with this running number."""
        epoch, place = divmod(number, self.groups_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._groups = epoch, self._shuffle(epoch)
        return self._groups[place]

    def _shuffle(self, epoch: int) -> list[list[int]]:
        # Negative numbers: no sample of the objective has them.
        generator = numbered_generator(self._seed, -1 - epoch)
        groups = []
        for bucket in self._buckets:
            shuffled = [bucket[i] for i in torch.randperm(len(bucket), generator=generator).tolist()]
            for start in range(0, len(shuffled), self._group):
                groups.append([shuffled[(start + i) % len(shuffled)] for i in range(self._group)])
        return [groups[i] for i in torch.randperm(len(groups), generator=generator).tolist()]

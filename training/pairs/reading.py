"""The batches of a training in their order, read ahead of the step: by a thread, or by processes of torch's DataLoader.

What a step sees follows from its number alone, so it depends neither on how many read nor on where a training began.
"""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy

from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from .batches import Batch, BatchReader, Dataset, NotCached
from .order import Order

AHEAD = 2
"""Batches that are read before they are needed, by each reader."""
MOST_GROUPS = 1 << 40


class Groups(TorchDataset):
    """A process's part of every group by the group's number; None where it must be computed."""

    def __init__(self, reader: BatchReader, order: Order, part: range) -> None:
        """part: this process's places in a group."""
        self._reader, self._order, self._part = reader, order, part

    def __getitem__(self, number: int) -> Batch | None:
        try:
            return self._reader.batch(self.indices(number))
        except NotCached:
            return None

    def indices(self, number: int) -> list[int]:
        """The pairs of this process's part."""
        group = self._order.group(number)
        return [group[place] for place in self._part]


class BatchStream:
    """Batches by the number of their group, quickly where each is asked for after the one before."""

    def __init__(self, dataset: Dataset, order: Order, part: range, workers: int = 0) -> None:
        """part: this process's places in a group. workers: processes that read; 0: a thread of this one."""
        self._dataset, self._workers = dataset, workers
        self._groups = Groups(dataset.reader(), order, part)
        self._own = Groups(dataset, copy(order), part)
        self._batches: Iterator[Batch | None] | None = None
        self._next = -1
        self.waited = 0.0
        """Seconds in which nothing could be done for want of a batch."""

    def batch(self, number: int) -> Batch:
        """This process's part of the group with this number."""
        begin = time.monotonic()
        if self._batches is None or number != self._next:
            self.close()
            self._batches = self._read_from(number)
        batch = next(self._batches)
        self._next = number + 1
        if batch is None:  # of a cache that was deleted meanwhile
            batch = self._own[number]
        self.waited += time.monotonic() - begin
        if batch is None:
            raise LookupError(f"The pairs of group {number} cannot be read.")
        return batch

    def close(self) -> None:
        """End readers."""
        self._batches = None

    def _read_from(self, number: int) -> Iterator[Batch | None]:
        if not self._workers:
            return _read_in_thread(self._groups, number)
        loader = DataLoader(
            self._groups,
            batch_size=None,
            sampler=range(number, MOST_GROUPS),
            num_workers=self._workers,
            prefetch_factor=AHEAD,
            worker_init_fn=_leave_interrupts,
        )
        return iter(loader)


def _read_in_thread(groups: Groups, number: int) -> Iterator[Batch | None]:
    pool = ThreadPoolExecutor(1, "zeroconv-reader")
    try:
        ahead: deque[Future[Batch | None]] = deque()
        while True:
            while len(ahead) <= AHEAD:
                ahead.append(pool.submit(groups.__getitem__, number))
                number += 1
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _leave_interrupts(worker: int) -> None:
    """A terminal's Ctrl+C reaches all processes; the training ends after its step, and still reads until then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

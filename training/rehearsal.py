"""Estimates a training's time and memory from a few encoded pairs and a few steps, which are then discarded."""

import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..datasets.manifest import read_manifest
from .callbacks import Callbacks
from .loop import Trainer
from .pairs.buckets import cut_to_bucket
from .pairs.cache import Cache
from .pairs.dataset import PairDataset, TrainingSource, prepare_pairs
from .pairs.order import Order
from .pairs.pair import Pair
from .pairs.prepared import PreparedDataset, PreparedSource
from .processes import Processes
from .report.progress import Progress
from .settings import Settings
from .setup import Job, ManagedBaseModel, new_network, reserve_memory

MEASURED_STEPS = 4
"""The first of them warms up and is not counted."""
MOST_LOOKED_AT = 10_000
"""Pictures whose size is asked for; of more, as many at equal distances."""


@dataclass(frozen=True)
class Rehearsal:
    """buckets: pairs by width and height, the most used first. steps_per_epoch: optimizer steps in which each pair
    comes once. cache_bytes: of latents, prompts and made hints. encoding_seconds: to fill the cache.
    step_seconds: of one optimizer step."""

    pairs: int
    buckets: dict[tuple[int, int], int]
    steps_per_epoch: float
    cache_bytes: float
    encoding_seconds: float
    step_seconds: float
    steps: int

    def __str__(self) -> str:
        shown = [f"{width} x {height}: {count}" for (width, height), count in list(self.buckets.items())[:5]]
        more = f" and {len(self.buckets) - 5} more" if len(self.buckets) > 5 else ""
        return "\n".join(
            [
                f"Buckets: {', '.join(shown)}{more}.",
                f"Cache: {self.cache_bytes / 1e9:.3g} GB, encoded in {in_words(self.encoding_seconds)}.",
                f"An epoch: {self.steps_per_epoch:.0f} steps, {in_words(self.steps_per_epoch * self.step_seconds)}.",
                f"All {self.steps} steps: {in_words(self.steps * self.step_seconds)}, "
                f"{self.step_seconds:.3g} s each as measured here.",
            ]
        )


def in_words(seconds: float) -> str:
    """A time to plan with: seconds, minutes or hours."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} seconds"


def rehearse(
    base: ManagedBaseModel, source: TrainingSource | PreparedSource, job: Job, processes: Processes | None = None
) -> Rehearsal:
    """Encode a batch of the most used bucket, and train on it for a few steps; nothing is written.

    Every process must call it. Raises ValueError when no pair can be used or the training does not fit into memory.
    """
    processes = processes or Processes()
    if isinstance(source, PreparedSource):
        return _rehearse_prepared(base, source, job, processes)
    settings = job.settings
    sizes = _bucket_of_each(source)
    counts = dict(Counter(size for size in sizes if size).most_common())
    if not counts:
        raise ValueError("None of the pictures can be opened.")
    group = settings.batch * processes.count
    chosen = _some_of(source.pairs, sizes, next(iter(counts)), group)
    begin, cache = time.monotonic(), Cache()
    dataset = prepare_pairs(base, chosen, source.preparation, cache)
    encoding = (time.monotonic() - begin) / len(chosen)
    step_seconds = _time_steps(base, dataset, job, processes)
    views = 2 if source.preparation.flip else 1
    order = Order([size for size in sizes if size for _ in range(views)], group, settings.seed)
    scale = len(source.pairs) / len(sizes)
    made_prompts = len({pair.prompt for pair in chosen} | {""})
    prompts = len({pair.prompt for pair in source.pairs} | {""})
    made = cache.made
    return Rehearsal(
        pairs=len(source.pairs),
        buckets={size: round(count * scale) for size, count in counts.items()},
        steps_per_epoch=scale * order.groups_per_epoch / settings.gradient_accumulation_steps,
        cache_bytes=made["pair"] / len(chosen) * len(source.pairs) + made["prompt"] / made_prompts * prompts,
        encoding_seconds=encoding * len(source.pairs) / processes.count,
        step_seconds=step_seconds,
        steps=settings.steps,
    )


def _rehearse_prepared(base: ManagedBaseModel, source: PreparedSource, job: Job, processes: Processes) -> Rehearsal:
    dataset = source.prepare(base, Cache())
    sizes = [dataset.size(index) for index in range(len(dataset))]
    order = Order(sizes, job.settings.batch * processes.count, job.settings.seed)
    return Rehearsal(
        pairs=len(dataset),
        buckets=dict(Counter(sizes).most_common()),
        steps_per_epoch=order.groups_per_epoch / job.settings.gradient_accumulation_steps,
        cache_bytes=sum(size for size, _ in read_manifest(source.folder).files.values()),
        encoding_seconds=0.0,
        step_seconds=_time_steps(base, dataset, job, processes),
        steps=job.settings.steps,
    )


def _time_steps(
    base: ManagedBaseModel, dataset: PairDataset | PreparedDataset, job: Job, processes: Processes
) -> float:
    """Seconds of a step of a network that is then forgotten."""
    control = new_network(base, job)
    reserve_memory(base, control, job.settings, dataset.largest(), processes)
    timer = _Timer()
    Trainer(base, control, dataset, _few_steps(job.settings), timer, processes).run()
    return timer.step_seconds()


class _Timer(Callbacks):
    def __init__(self) -> None:
        self._times: list[float] = []

    def stepped(self, progress: Progress) -> None:
        self._times.append(time.monotonic())

    def step_seconds(self) -> float:
        return statistics.median(after - before for before, after in zip(self._times, self._times[1:], strict=False))


def _few_steps(settings: Settings) -> Settings:
    return replace(settings, steps=MEASURED_STEPS, save_every=0, sample_every=0)


def _bucket_of_each(source: TrainingSource) -> list[tuple[int, int] | None]:
    """Width and height of the bucket of each pair that is looked at; None for one that cannot be opened."""
    sizes: list[tuple[int, int] | None] = []
    for pair in source.pairs[:: -(-len(source.pairs) // MOST_LOOKED_AT)]:
        try:
            cut = cut_to_bucket(pair.target.size(), source.preparation.resolution)
            sizes.append((cut.width, cut.height))
        except ValueError:
            sizes.append(None)
    return sizes


def _some_of(
    pairs: Sequence[Pair], sizes: Sequence[tuple[int, int] | None], bucket: tuple[int, int], count: int
) -> list[Pair]:
    """The first pairs of a bucket."""
    stride = -(-len(pairs) // MOST_LOOKED_AT)
    return [pair for pair, size in zip(pairs[::stride], sizes, strict=True) if size == bucket][:count]

"""Steps at which the base model computes a part of itself only, with what the rest gave at the last key step.

Approximate, and off unless asked for. Deep cache: the first block of the encoder and the last of the decoder run, the
features that come from the depth between them are kept (Ma et al. 2024, "DeepCache", arXiv 2312.00858). Encoder
propagation: the decoder runs, the skips and the middle are kept (Li et al. 2023, "Faster Diffusion", arXiv 2312.09608).
A ControlNet adds to the skips and to the middle, so what is kept has its share in it, and it need not run at these
steps: of deep cache that one residual alone is missing which goes to the first skip, and it is kept as well.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar, get_args

from torch import Tensor

from ..strength.timeline import Span
from .run_interval import EveryNthStep

Method = Literal["deep cache", "encoder propagation"]
METHODS: tuple[Method, ...] = get_args(Method)

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class StepCacheSettings:
    """run_interval: how far key steps lie apart. start, end: outside this part of the sampling every step is whole.

    Raises ValueError when the start is after the end.
    """

    method: Method = "deep cache"
    run_interval: EveryNthStep = field(default_factory=lambda: EveryNthStep(3))
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise ValueError(
                f"Step Cache starts at {self.start:g}, after its end at {self.end:g}: no step would use it. "
                "Lower start_percent or raise end_percent."
            )

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


@dataclass(frozen=True)
class Features:
    """h: what the first of the decoder's blocks that run takes. skips: those that are kept, outermost first.

    Of deep cache, what controls add: residual to the first skip, inside to the output of the encoder's first block.
    """

    h: Tensor
    skips: tuple[Tensor, ...] = ()
    residual: Tensor | None = None
    inside: Tensor | None = None


@dataclass(frozen=True)
class _KeyStep(Generic[Kept]):
    step: int
    kept: Kept


class StepCache(Generic[Kept]):
    """The results of a sampling's last key step, for each call of the model that an evaluation makes.

    An evaluation of the model may take several calls: prompts, regions, tiles. They are distinguished by their
    kind, and equal kinds by their order. capacity: calls; with more than that the model is computed whole as if
    nothing was kept. whole, partial: how often it was computed so.
    """

    def __init__(self, run_interval: EveryNthStep, capacity: int = 8) -> None:
        self._run_interval, self._capacity = run_interval, capacity
        self._kept: OrderedDict[Hashable, _KeyStep[Kept]] = OrderedDict()
        self._calls: Counter[Hashable] = Counter()
        self._step, self._inside = 0, False
        self.whole = self.partial = 0

    def begin(self, step: int, inside: bool) -> None:
        """A new evaluation, of this step. inside: whether it may be partial."""
        self._step, self._inside = step, inside
        self._calls.clear()

    def run(
        self, kind: Hashable, whole: Callable[[], tuple[Tensor, Kept | None]], part: Callable[[Kept], Tensor]
    ) -> Tensor:
        """The model's output by one of the two; `whole` also gives what to keep, None when it has nothing.

        A sampler that goes back to a step, or evaluates a key step twice, gets whole ones.
        """
        place = (kind, self._calls[kind])
        self._calls[kind] += 1
        key = self._kept.get(place)
        since = 0 if key is None else self._step - key.step
        if key is not None and self._inside and since > 0 and not self._run_interval.due(since, None):
            self.partial += 1
            return part(key.kept)
        self._kept.pop(place, None)  # before the model runs: two sets need not be in memory
        output, kept = whole()
        self.whole += 1
        if kept is not None:
            self._kept[place] = _KeyStep(self._step, kept)
            if len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
        return output

    def clear(self) -> None:
        """Let go of all features; the counts stay."""
        self._kept.clear()
        self._calls.clear()

    def __len__(self) -> int:
        return len(self._kept)

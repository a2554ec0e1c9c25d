"""One sampling step, read once for a whole chain of controls and with one read of the device."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...controlnet.constants import Constants
from .device_copies import DeviceCopies
from .hint_batching import HintBatches
from .noise_level import NOISE_LEVEL_OPTION, NoiseLevel

STEP_OPTION = "zeroconv_step"
"""Key under which the outermost control of a chain hands the step to the controls before it."""

STEP_READ_OPTION = "zeroconv_step_read"
"""Key under which a joint control hands a chain its step, which it has read together with those of others."""

MAX_CONTEXTS = 4


class DeferredReads:
    """Numbers on the device that are read together with the next step's own: reading one at once would stop the CPU."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Tensor, Callable[[float], None]]] = []

    def add(self, value: Tensor, use: Callable[[float], None]) -> None:
        """Call `use` with the value at the beginning of the next step."""
        self._waiting.append((value, use))

    def take(self) -> list[tuple[Tensor, Callable[[float], None]]]:
        """All that wait; afterwards none does."""
        waiting, self._waiting = self._waiting, []
        return waiting


class Kept:
    """A sampling's copies on the device, for all steps. copies: of tensors; constants: of numbers."""

    def __init__(self) -> None:
        self.copies, self.constants = DeviceCopies(), Constants()

    def clear(self) -> None:
        self.copies.clear()
        self.constants.clear()


@dataclass(eq=False)
class Step:
    """The values that the controls of a chain share at one step. The flags are those of `controlnet.networks` `Inputs`.

    sigma: the noise level. levels: those of all steps of the sampling, falling; none where the host does not tell them.
    context: the prompt embeddings; equal content within one sampling is the same tensor, whatever the host passes.
    options: the host's own dictionary of the step, which patches are added to. deferred: takes what is to be read with
    the next step. kept: what the sampling has on the device already. hint_batches: runs of networks that several
    controls of the chain share.
    """

    sigma: float
    levels: tuple[float, ...]
    shared: bool
    shared_y: bool
    uniform_time: bool
    context: Tensor
    options: dict[str, Any]
    deferred: DeferredReads
    kept: Kept = field(default_factory=Kept)
    hint_batches: HintBatches = field(default_factory=HintBatches)


@dataclass(frozen=True)
class Question:
    """A question to the device for one step. wanted: numbers there, of any shape. answer: makes the step of them, all
    in one list."""

    wanted: Sequence[Tensor]
    answer: Callable[[list[float]], Step]


def read_together(questions: Sequence[Question], device: torch.device) -> list[Step]:
    """The steps of several chains, with one read for all."""
    if not questions:
        return []
    wanted = [value.reshape(-1).to(device) for question in questions for value in question.wanted]
    values = torch.cat(wanted).tolist()
    steps = []
    for question in questions:
        count = sum(value.numel() for value in question.wanted)
        steps.append(question.answer(values[:count]))
        values = values[count:]
    return steps


class StepReader:
    """Reads steps; remembers the last few prompts of the sampling to tell equal ones."""

    def __init__(self) -> None:
        self._contexts: list[Tensor] = []
        self._deferred = DeferredReads()
        self._kept = Kept()
        self._levels: tuple[Tensor, tuple[float, ...]] | None = None

    def clear(self) -> None:
        self._contexts.clear()
        self._deferred.take()
        self._kept.clear()
        self._levels = None

    def read(self, x: Tensor, t: Tensor, cond: Mapping[str, Any], group_count: int, options: dict[str, Any]) -> Step:
        """x: (rows, ...) latents. t: (rows,) sigmas. cond: the host's conditioning of all rows. options: its own."""
        return read_together([self.ask(x, t, cond, group_count, options)], x.device)[0]

    def ask(self, x: Tensor, t: Tensor, cond: Mapping[str, Any], group_count: int, options: dict[str, Any]) -> Question:
        """The question of a step, to be read together with those of others; arguments as of `read`."""
        given = cond["crossattn_controlnet"] if "crossattn_controlnet" in cond else cond["c_crossattn"]
        context = self._kept.copies.get(given, x.device)
        alike = [c for c in self._contexts if c.shape == context.shape and c.dtype == context.dtype]
        if any(c is context for c in alike) or context is not given:  # what came from the CPU is told apart already
            alike = []
        flags = [_equal_groups(values, group_count, x.device) for values in (x, cond.get("y"))]
        asked = [flag for flag in flags if isinstance(flag, Tensor)]
        deferred, sigmas = self._deferred.take(), options.get("sample_sigmas")
        new_sigmas = [] if sigmas is None or self._knows(sigmas) else [sigmas]
        same = [(c == context).all() for c in alike]
        wanted = [t, *asked, *same, *(value for value, _ in deferred), *new_sigmas]

        def answer(values: list[float]) -> Step:
            times, read = values[: len(t)], iter(values[len(t) :])
            shared, shared_y = (bool(next(read)) if isinstance(flag, Tensor) else flag for flag in flags)
            known = next((c for c, equal in [(c, next(read)) for c in alike] if equal), context)
            for _, use in deferred:
                use(next(read))
            if new_sigmas:
                self._levels = new_sigmas[0], tuple(read)
            if all(known is not c for c in self._contexts):
                self._contexts = [*self._contexts, known][-MAX_CONTEXTS:]
            levels = () if sigmas is None or self._levels is None else self._levels[1]
            _tell_level(options, times[0], levels)
            return Step(
                times[0], levels, shared and _equal_parts(times, group_count), shared_y, len(set(times)) == 1, known,
                options, self._deferred, self._kept,
            )  # fmt: skip

        return Question(wanted, answer)

    def _knows(self, sigmas: Tensor) -> bool:
        return self._levels is not None and self._levels[0] is sigmas


def _tell_level(options: Mapping[str, Any], sigma: float, levels: tuple[float, ...]) -> None:
    """Spare a step cache its own read."""
    noise_level: NoiseLevel | None = options.get(NOISE_LEVEL_OPTION)
    if noise_level is not None:
        noise_level.note(sigma, levels)


def _equal_parts(values: Sequence[float], count: int) -> bool:
    """Whether each of so many parts of the values equals the first."""
    size, rest = divmod(len(values), count)
    return not rest and all(values[part * size : (part + 1) * size] == values[:size] for part in range(count))


def _equal_groups(values: Tensor | None, group_count: int, device: torch.device) -> Tensor | bool:
    """Whether the rows of every group equal those of the first: a boolean tensor on the device, or what is known
    without looking there."""
    if values is None or group_count == 1:
        return True
    if values.shape[0] % group_count:
        return False
    grouped = values.unflatten(0, (group_count, -1))
    equal = (grouped[1:] == grouped[:1]).all()
    return equal if values.device == device else bool(equal)

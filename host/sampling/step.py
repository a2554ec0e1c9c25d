"""What is true of one sampling step, found out once for a whole chain of controls and with one read of the device."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .hint_batching import HintBatches

STEP_OPTION = "zeroconv_step"
"""Key under which the outermost control of a chain hands the step to the controls before it."""

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


@dataclass(eq=False)
class Step:
    """What the controls of a chain have in common at one step. The flags are those of `controlnet.networks` `Inputs`.

    sigma: the noise level. context: the prompt embeddings; equal content within one sampling is the same tensor,
    whatever the host passes. options: the host's own dictionary of the step, which patches are added to. deferred:
    takes what is to be read with the next step. hint_batches: runs of networks that several controls of the chain
    share.
    """

    sigma: float
    shared: bool
    shared_y: bool
    uniform_time: bool
    context: Tensor
    options: dict[str, Any]
    deferred: DeferredReads
    hint_batches: HintBatches = field(default_factory=HintBatches)


class StepReader:
    """Reads steps; remembers the last few prompts of the sampling to tell equal ones."""

    def __init__(self) -> None:
        self._contexts: list[Tensor] = []
        self._deferred = DeferredReads()

    def clear(self) -> None:
        self._contexts.clear()
        self._deferred.take()

    def read(self, x: Tensor, t: Tensor, cond: Mapping[str, Any], group_count: int, options: dict[str, Any]) -> Step:
        """x: (rows, ...) latents. t: (rows,) sigmas. cond: the host's conditioning of all rows. options: its own."""
        context = cond["crossattn_controlnet"] if "crossattn_controlnet" in cond else cond["c_crossattn"]
        context = context.to(x.device)
        alike = [c for c in self._contexts if c.shape == context.shape and c.dtype == context.dtype]
        flags = [
            _equal_groups(x, group_count) & _equal_groups(t, group_count),
            _equal_groups(cond.get("y"), group_count, like=x),
            (t == t[0]).all(),
            *((c == context).all() for c in alike),
        ]
        deferred = self._deferred.take()
        wanted = [t[0].float(), *(flag.float() for flag in flags), *(value.to(x.device) for value, _ in deferred)]
        sigma, shared, shared_y, uniform, *rest = torch.stack(wanted).tolist()
        same, values = rest[: len(alike)], rest[len(alike) :]
        for value, (_, use) in zip(values, deferred, strict=True):
            use(value)
        known = next((c for c, equal in zip(alike, same, strict=True) if equal), None)
        if known is None:
            known = context
            self._contexts = [*self._contexts, context][-MAX_CONTEXTS:]
        return Step(sigma, bool(shared), bool(shared_y), bool(uniform), known, options, self._deferred)


def _equal_groups(values: Tensor | None, group_count: int, like: Tensor | None = None) -> Tensor:
    """Whether the rows of every group equal those of the first: a boolean tensor on the device of `values`."""
    if values is None:
        return torch.ones((), dtype=torch.bool, device=like.device if like is not None else None)
    if values.shape[0] % group_count:
        return torch.zeros((), dtype=torch.bool, device=values.device)
    grouped = values.unflatten(0, (group_count, -1))
    return (grouped == grouped[:1]).all()

"""Residuals that are computed when the base model first takes one.

The host asks a control for its residuals before it runs the base model. A step cache (core's EasyCache and LazyCache,
and those of other packs) then often leaves the base model out: nobody takes the residuals, and the network need not
run. Everyone else finds what the host's contract promises: lists of tensors.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ...controlnet.residuals import PARTS

HostResiduals = dict[str, list[Tensor | None]]
"""Lists `input`, `output`, `middle`; the host's models take them by index or from the end."""


def lazy_residuals(make: Callable[[], HostResiduals], lengths: Mapping[str, int | None]) -> HostResiduals:
    """Lists that are filled by one call of `make`, when one of them is first looked at.

    lengths: of the lists, where they are known before; a list of no residuals is an ordinary one.
    """
    source = _Source(_outside_graphs(make))
    return {part: [] if lengths[part] == 0 else LazyList(source, part, lengths[part]) for part in PARTS}


def known_length(residuals: HostResiduals | None, part: str) -> int | None:
    """Length of a list without computing it; None when only that would tell."""
    values = None if residuals is None else residuals.get(part)
    if isinstance(values, LazyList):
        return values.length
    return 0 if values is None else len(values)


def _outside_graphs(make: Callable[[], HostResiduals]) -> Callable[[], HostResiduals]:
    """The same call, which is not part of a compiled base model (core's TorchCompileModel).

    The compiler follows the base model into the list that it takes residuals from: it would compile pieces of the
    ControlNet and of the chain's sum, some of them anew at every step. Where nothing is compiled it is not imported.
    """
    if "torch._dynamo" not in sys.modules:
        return make
    uncompiled: Any = torch.compiler.disable(lambda: make())
    return uncompiled


class _Source:
    """Computes once, and lets each list take its part: what is taken and used up is not held any longer."""

    def __init__(self, make: Callable[[], HostResiduals]) -> None:
        self._make: Callable[[], HostResiduals] | None = make
        self._residuals: HostResiduals = {}

    def take(self, part: str) -> list[Tensor | None]:
        if self._make is not None:
            self._residuals = self._make()
            self._make = None
        return self._residuals.pop(part)


def _filling(name: str) -> Any:
    """A method of `list` that fills the list before it acts."""
    method = getattr(list, name)

    def act(self: "LazyList", *arguments: Any, **named: Any) -> Any:
        self.fill()
        return method(self, *arguments, **named)

    act.__name__ = name
    return act


class LazyList(list[Tensor | None]):
    """A list that fills itself when it is read or changed; asking for a known length does not count.

    The host's UNets take `len(control[part])` and `control[part].pop()` (`openaimodel.apply_control`), its transformer
    models an item by its index; `control_merge` of core's own controls iterates. Other packs may do anything that a
    list can, so all methods of a list are covered.
    """

    def __init__(self, source: _Source, part: str, length: int | None) -> None:
        super().__init__()
        self._source: _Source | None = source
        self._part = part
        self._length = length

    @property
    def waits(self) -> bool:
        """Whether nothing was computed yet."""
        return self._source is not None

    @property
    def length(self) -> int | None:
        return self._length if self.waits else super().__len__()

    def fill(self) -> None:
        """Compute, unless that was done."""
        if self._source is not None:
            residuals = self._source.take(self._part)
            self._source = None
            super().extend(residuals)

    def __len__(self) -> int:
        if self._source is not None and self._length is not None:
            return self._length
        self.fill()
        return super().__len__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copies are ordinary lists."""
        return list, (list(self),)

    __hash__ = None  # pyright: ignore[reportAssignmentType, reportIncompatibleVariableOverride]  as of any list
    __getitem__, __setitem__, __delitem__ = _filling("__getitem__"), _filling("__setitem__"), _filling("__delitem__")
    __iter__, __reversed__, __contains__ = _filling("__iter__"), _filling("__reversed__"), _filling("__contains__")
    __add__, __iadd__, __mul__, __rmul__ = (_filling(f"__{name}__") for name in ("add", "iadd", "mul", "rmul"))
    __eq__, __ne__, __repr__ = _filling("__eq__"), _filling("__ne__"), _filling("__repr__")

    def __radd__(self, before: list[Tensor | None]) -> list[Tensor | None]:
        """An ordinary list + this one, which `list` would join without asking."""
        return [*before, *self]

    append, extend, insert, pop = _filling("append"), _filling("extend"), _filling("insert"), _filling("pop")
    remove, clear, copy, reverse = _filling("remove"), _filling("clear"), _filling("copy"), _filling("reverse")
    index, count, sort = _filling("index"), _filling("count"), _filling("sort")

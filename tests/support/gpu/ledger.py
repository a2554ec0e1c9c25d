"""What happened on the pretended GPU: launches, reads and copies with the lines that caused them, bytes alive."""

from __future__ import annotations

import functools
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import torch
from zeroconv.comfy_client.server import comfyui_directory

HERE = str(Path(__file__).parent.resolve())
LIBRARY = str(Path(torch.__file__).parent)
ROOTS = (f"{comfyui_directory()}/", f"{Path(__file__).resolve().parents[3]}/")
DEEPEST = 40
"""Frames that are looked at for a cause."""


@dataclass(frozen=True)
class Event:
    """A moment at which CPU and GPU met. what: the operation. shape: of the value. lines: `file:line`, innermost first,
    without those of PyTorch."""

    what: str
    shape: tuple[int, ...]
    lines: tuple[str, ...]

    @property
    def line(self) -> str:
        """The line that asked for it."""
        return self.lines[0] if self.lines else "?"

    def within(self, *parts: str) -> bool:
        """Whether a line of a file with one of these in its path led to it."""
        return any(part in line for line in self.lines for part in parts)

    def __str__(self) -> str:
        return f"{self.what} {list(self.shape)} at {' < '.join(self.lines[:4])}"


@dataclass
class Ledger:
    """What was counted since the beginning, or since `clear`.

    launches: operations that start a kernel. reads: of a value by the CPU, each of which stops it until the GPU has
    caught up. copies: from the CPU. on_cpu: heavy operations (matrix products, convolutions) that ran on the CPU.
    alive, peak: bytes of the GPU's tensors.
    """

    launches: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    reads: list[Event] = field(default_factory=list)
    copies: list[Event] = field(default_factory=list)
    on_cpu: list[Event] = field(default_factory=list)
    alive: int = 0
    peak: int = 0
    at_peak: Callable[[], None] | None = None

    def clear(self) -> None:
        """Begin again; what is alive stays."""
        self.launches, self.peak = 0, self.alive
        self.operations.clear()
        for events in (self.reads, self.copies, self.on_cpu):
            events.clear()

    def launch(self, name: str) -> None:
        self.launches += 1
        self.operations[name] += 1

    def take(self, size: int) -> None:
        self.alive += size
        if self.alive > self.peak:
            self.peak = self.alive
            if self.at_peak is not None:
                self.at_peak()

    def free(self, size: int) -> None:
        self.alive -= size

    @contextmanager
    def part(self) -> Iterator[Ledger]:
        """Counts what happens inside the block, in a ledger of its own that is complete after it."""
        inside = Ledger()
        lengths = [len(events) for events in (self.reads, self.copies, self.on_cpu)]
        launches, operations, peak, self.peak = self.launches, Counter(self.operations), self.peak, self.alive
        yield inside
        inside.launches, inside.operations = self.launches - launches, self.operations - operations
        inside.reads, inside.copies, inside.on_cpu = (
            events[length:] for events, length in zip((self.reads, self.copies, self.on_cpu), lengths, strict=True)
        )
        inside.alive, inside.peak = self.alive, self.peak
        self.peak = max(self.peak, peak)


def event(what: str, shape: torch.Size) -> Event:
    """What happens now, with the lines that led to it."""
    return Event(what, tuple(shape), tuple(_lines(sys._getframe(1))))


def _lines(frame: FrameType | None) -> Iterator[str]:
    for _ in range(DEEPEST):
        if frame is None:
            return
        name = _file(frame.f_code.co_filename)
        if name:
            yield f"{name}:{frame.f_lineno}"
        frame = frame.f_back


@functools.cache
def _file(name: str) -> str:
    """A file's path in the repository or in ComfyUI; empty for PyTorch's and for those of the pretended GPU."""
    if name.startswith(LIBRARY):
        return ""
    name = os.path.realpath(name)
    if name.startswith(HERE):
        return ""
    for root in ROOTS:
        name = name.removeprefix(root)
    return name

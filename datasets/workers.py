"""Makes hints in several processes of this machine, each with a pipeline and, where there are several, a GPU."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from .hint_maker import Job, Maker, Recipe
from .pipeline import Extent, Pipeline, Report, Stopped

GOODBYE_SECONDS = 0.25
"""After this a process that is still busy with an image is killed; hints are written whole or not at all."""
MOST_DEATHS = 5
"""Processes that end one after the other without a hint: then it is not the images."""
FATAL = {"FileNotFoundError": FileNotFoundError, "ImportError": ImportError, "ValueError": ValueError}


def core_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_hints(
    recipe: Recipe, jobs: Iterable[Job], count: int, extent: Extent, report: Report, stopped: threading.Event
) -> None:
    """Make all hints on `count` processes, one being this itself. Returns when all images were reported.

    Raises `Stopped` when `stopped` is set, and what would fail for every image, as `Pipeline` does. After a Ctrl+C
    (KeyboardInterrupt) nothing goes on.
    """
    if count > 1:
        _Workers(recipe, count, extent, report, stopped).run(jobs)
        return
    maker = Maker(recipe, lambda: pipeline.check())
    pipeline = Pipeline(maker, extent, report, stopped)
    try:
        pipeline.run(jobs)
    except BaseException:
        stopped.set()  # threads that are in the middle of an image begin no other
        raise


@dataclass
class _Worker:
    """A process and the images that it has, by path."""

    process: BaseProcess
    connection: Connection
    has: dict[str, Job]
    alone: bool = False
    """Whether it has one image that may have ended another process before."""
    flushed: bool = False
    """Whether it was told not to wait for more images of one size."""


class _Workers:
    """Hands images to processes, and again those of a process that died, each alone."""

    def __init__(self, recipe: Recipe, count: int, extent: Extent, report: Report, stopped: threading.Event) -> None:
        self._recipe, self._count, self._extent = recipe, count, extent
        self._report, self._stopped = report, stopped
        self._workers: list[_Worker] = []
        self._suspects: deque[Job] = deque()
        self._deaths = 0

    def run(self, jobs: Iterable[Job]) -> None:
        """Returns when all images were reported."""
        waiting = iter(jobs)
        try:
            with _ignoring_interrupts():
                self._workers = [self._start(index) for index in range(self._count)]
            self._fill(waiting)
            while any(worker.has for worker in self._workers) or self._suspects:
                for worker in self._ready():
                    self._hear(worker)
                self._fill(waiting)
        finally:
            self._end()

    def _start(self, index: int) -> _Worker:
        context = multiprocessing.get_context("spawn")  # a fork of threads that hold locks would wait for ever
        ours, theirs = context.Pipe()
        cores = max(1, core_count() // self._count)
        recipe = replace(self._recipe, device=_device(self._recipe.device, index))
        process = context.Process(target=_work, args=(theirs, recipe, self._extent, cores), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours, {})

    def _ready(self) -> list[_Worker]:
        """Those that have something to say, or are dead."""
        by_source = {each: worker for worker in self._workers for each in (worker.connection, worker.process.sentinel)}
        found = wait(list(by_source), timeout=0.1)
        if self._stopped.is_set():
            raise Stopped
        return [worker for worker in self._workers if {worker.connection, worker.process.sentinel} & {*found}]

    def _hear(self, worker: _Worker) -> None:
        try:
            while worker.connection.poll():
                source, problem, fatal = worker.connection.recv()
                if fatal:
                    raise FATAL.get(fatal, OSError)(problem)
                del worker.has[source]
                self._deaths = 0
                self._report(source, problem)
        except (EOFError, ConnectionError):
            self._replace(worker)

    def _replace(self, worker: _Worker) -> None:
        """Start another process, and find out which image has ended this one."""
        worker.process.join(GOODBYE_SECONDS)
        self._deaths += 1
        if worker.alone:
            for source in worker.has:
                self._report(source, f"the process that made its hint ended with {worker.process.exitcode}")
        else:
            self._suspects.extend(worker.has.values())
        if self._deaths > MOST_DEATHS:
            raise ValueError(
                f"The processes that make hints end one after the other (the last with {worker.process.exitcode}). "
                "There may be too little memory for so many: give a smaller --jobs."
            )
        worker.connection.close()
        index = self._workers.index(worker)
        with _ignoring_interrupts():
            self._workers[index] = self._start(index)

    def _fill(self, waiting: Iterator[Job]) -> None:
        """Give every process what it can take."""
        with suppress(BrokenPipeError, ConnectionError):  # it is dead, which `_ready` tells too
            for worker in self._workers:
                if self._suspects:
                    if not worker.has:
                        worker.alone = True
                        self._give(worker, self._suspects.popleft())
                    continue
                worker.alone = worker.alone and bool(worker.has)
                while not worker.alone and len(worker.has) < self._extent.most_in_work:
                    job = next(waiting, None)
                    if job is None:
                        self._flush(worker)
                        break
                    self._give(worker, job)

    def _give(self, worker: _Worker, job: Job) -> None:
        worker.has[job[0]], worker.flushed = job, False
        worker.connection.send(job)
        if worker.alone:
            self._flush(worker)

    def _flush(self, worker: _Worker) -> None:
        if not worker.flushed:
            worker.flushed = True
            worker.connection.send(None)

    def _end(self) -> None:
        for worker in self._workers:
            worker.connection.close()
        deadline = time.monotonic() + GOODBYE_SECONDS
        for worker in self._workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join(GOODBYE_SECONDS)


def _device(name: str, index: int) -> str:
    """The device of a process: with plain `cuda` each has one of the GPUs."""
    return f"cuda:{index % torch.cuda.device_count()}" if name == "cuda" else name


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """A terminal's Ctrl+C reaches all processes; those started in the block leave it to this one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(connection: Connection, recipe: Recipe, extent: Extent, cores: int) -> None:
    """A process: takes jobs, None for those that are not to wait for more, until the connection is closed."""
    import cv2

    torch.set_num_threads(cores)
    cv2.setNumThreads(cores)
    speaking, stopped = threading.Lock(), threading.Event()

    def report(source: str, problem: str, fatal: str = "") -> None:
        with speaking:
            connection.send((source, problem, fatal))

    def jobs() -> Iterator[Job | None]:
        with suppress(EOFError, ConnectionError):
            while True:
                yield connection.recv()
        raise Stopped

    pipeline = Pipeline(Maker(recipe, lambda: pipeline.check()), extent, report, stopped)
    with suppress(Stopped, BrokenPipeError, ConnectionError):
        try:
            pipeline.run(jobs())
        except (OSError, ImportError, ValueError) as error:
            if not isinstance(error, ConnectionError):
                report("", str(error), type(error).__name__)
    stopped.set()

"""Makes hints in one process: reading, computing and writing at the same time."""

from __future__ import annotations

import errno
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .hint_maker import Job, Maker, kind_of

if TYPE_CHECKING:
    import numpy as np

    from ..preprocessors.pictures import Photo

Report = Callable[[str, str], None]
"""Called once for every image, in any thread: its path, and what is wrong with it, "" where its hint was written."""

AHEAD = 2
"""Images in the work for each thread."""
HELD_BATCHES = 4
"""Batches' worth of read images that wait for others of their size, at most."""
THREAD_NAME = "zeroconv-hints"


class Stopped(Exception):
    """The work was to stop; no more hints are made."""


@dataclass(frozen=True)
class Extent:
    """How much is done at once in one process. threads: for reading, writing and, without networks, computing.

    batch: images that go through a network together.
    """

    threads: int = 2
    batch: int = 1

    @property
    def most_in_work(self) -> int:
        """So many images may be in the work without a result: with one more there is always one."""
        return AHEAD * self.threads + (HELD_BATCHES + 2) * self.batch


class Pipeline:
    """Makes the hints of images one after the other as they come.

    A bad image costs one image, also within a batch. What would fail for every image ends the run: missing weights
    (FileNotFoundError), what runs them (ImportError), a full disk (OSError).
    """

    def __init__(self, maker: Maker, extent: Extent, report: Report, stopped: threading.Event) -> None:
        """stopped: set, from any thread, to end the run by `Stopped`."""
        self._maker, self._extent, self._report, self._stopped = maker, extent, report, stopped
        self._room = threading.Semaphore(AHEAD * extent.threads)
        self._fatal: BaseException | None = None
        self._reading: deque[tuple[Job, Future[Photo]]] = deque()
        self._waiting: dict[Any, list[tuple[Job, Photo]]] = defaultdict(list)

    def run(self, jobs: Iterable[Job | None]) -> None:
        """Make all hints. None among the jobs: finish those that came before it first."""
        with self._pool() as pool:
            for job in jobs:
                self.check()
                if job is None:
                    self._finish(pool)
                elif self._maker.has_networks:
                    self._read(pool, job)
                else:
                    self._start(pool, self._make_one, job)
            self._finish(pool)

    def check(self) -> None:
        """Raise what ends the run."""
        if self._fatal is not None:
            raise self._fatal
        if self._stopped.is_set():
            raise Stopped

    @contextmanager
    def _pool(self) -> Iterator[ThreadPoolExecutor]:
        pool = ThreadPoolExecutor(self._extent.threads, THREAD_NAME)
        try:
            yield pool
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _start(self, pool: ThreadPoolExecutor, work: Callable[..., None], *arguments: Any) -> None:
        """Have work done by the pool, as soon as there is room."""
        while not self._room.acquire(timeout=0.1):
            self.check()
        future = pool.submit(work, *arguments)
        future.add_done_callback(lambda done: self._room.release())

    def _finish(self, pool: ThreadPoolExecutor) -> None:
        """Wait until everything that was begun is done."""
        while self._reading:
            self._take(pool)
        for kind in list(self._waiting):
            self._make_batch(pool, self._waiting.pop(kind))
        permits = AHEAD * self._extent.threads
        for _ in range(permits):
            while not self._room.acquire(timeout=0.1):
                self.check()
        self._room.release(permits)
        self.check()

    def _make_one(self, job: Job) -> None:
        """Read, compute and write: without networks all threads compute."""
        with self._costs_one(job):
            self.check()
            self._maker.write(self._maker.make([self._maker.read(job[0])])[0], job[1])
            self._report(job[0], "")

    def _read(self, pool: ThreadPoolExecutor, job: Job) -> None:
        self._reading.append((job, pool.submit(self._maker.read, job[0])))
        if len(self._reading) >= max(self._extent.batch, AHEAD * self._extent.threads):
            self._take(pool)

    def _take(self, pool: ThreadPoolExecutor) -> None:
        """Put the next image that was read with those of its size, and make the hints of those that are enough."""
        job, reading = self._reading.popleft()
        with self._costs_one(job):
            photo = reading.result()
            self._waiting[kind_of(photo)].append((job, photo))
        fullest = max(self._waiting, key=lambda kind: len(self._waiting[kind]), default=None)
        held = sum(map(len, self._waiting.values()))
        if fullest is not None and (
            len(self._waiting[fullest]) >= self._extent.batch or held >= HELD_BATCHES * self._extent.batch
        ):
            self._make_batch(pool, self._waiting.pop(fullest))

    def _make_batch(self, pool: ThreadPoolExecutor, batch: Sequence[tuple[Job, Photo]]) -> None:
        self.check()
        try:
            hints = self._maker.make([photo for _, photo in batch])
        except (Stopped, FileNotFoundError, ImportError):
            raise
        except Exception:
            if len(batch) > 1:  # one of them is at fault: each for itself
                for single in batch:
                    self._make_batch(pool, [single])
                return
            with self._costs_one(batch[0][0]):
                raise
            return
        for (job, _), hint in zip(batch, hints, strict=True):
            self._start(pool, self._write, job, hint)

    def _write(self, job: Job, hint: np.ndarray) -> None:
        with self._costs_one(job):
            self._maker.write(hint, job[1])
            self._report(job[0], "")

    @contextmanager
    def _costs_one(self, job: Job) -> Iterator[None]:
        """Report what goes wrong as this image's failure, unless it would go wrong with every image."""
        try:
            yield
        except (Stopped, FileNotFoundError, ImportError) as error:
            self._fatal = self._fatal or error
        except OSError as error:
            if error.errno == errno.ENOSPC:
                self._fatal = self._fatal or error
            else:
                self._report(job[0], str(error))
        except Exception as error:  # of OpenCV, torch or Pillow
            self._report(job[0], str(error))

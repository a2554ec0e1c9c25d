"""Reading, computing and writing at the same time; batches of one size; one bad image costs one image."""

import random
import threading
import time
from collections import Counter

import numpy as np
import pytest
from zeroconv.datasets.pipeline import Extent, Pipeline, Stopped


class FakeMaker:
    """Images are numbers; their size is what follows a colon in the name."""

    def __init__(self, has_networks: bool = True, bad: str = "", seconds: float = 0.0) -> None:
        self.has_networks, self.bad, self.seconds = has_networks, bad, seconds
        self.batches: list[list[int]] = []
        self.in_work = self.most_in_work = 0
        self.written: list[str] = []
        self.lock, self.rng = threading.Lock(), random.Random(0)
        self.active: Counter[str] = Counter()
        self.seen_together: set[frozenset[str]] = set()

    def work(self, stage: str) -> None:
        """Take the time of a stage, and note which others are at work meanwhile."""
        with self.lock:
            self.active[stage] += 1
            self.seen_together.add(frozenset(+self.active))
        time.sleep(self.seconds * self.rng.uniform(0, 2))  # or threads that begin together would stay together
        with self.lock:
            self.active[stage] -= 1

    def read(self, source: str) -> np.ndarray:
        with self.lock:
            self.in_work += 1
            self.most_in_work = max(self.most_in_work, self.in_work)
        self.work("read")
        if "unreadable" in source:
            raise ValueError(f"'{source}' cannot be read")
        name, _, size = source.partition(":")
        return np.full((int(size or 1), 1, 3), int(name))

    def make(self, photos):
        numbers = [int(photo[0, 0, 0]) for photo in photos]
        self.batches.append(numbers)
        self.work("make")
        if self.bad and int(self.bad) in numbers:
            raise RuntimeError("too small")
        return list(photos)

    def write(self, pixels, target: str) -> None:
        self.work("write")
        self.written.append(target)


def run(maker: FakeMaker, sources, extent: Extent | None = None) -> dict[str, str]:
    outcome: dict[str, str] = {}

    def report(source: str, problem: str) -> None:
        assert source not in outcome
        outcome[source] = problem
        with maker.lock:
            maker.in_work -= 1

    jobs = [(source, f"{source}.png") for source in sources]
    Pipeline(maker, extent or Extent(), report, threading.Event()).run(jobs)
    return outcome


@pytest.mark.parametrize("has_networks", [True, False])
def test_every_image_is_reported_once_and_the_bad_ones_alone_fail(has_networks) -> None:
    maker = FakeMaker(has_networks, bad="7")
    sources = [*map(str, range(20)), "unreadable"]
    outcome = run(maker, sources, Extent(batch=4))
    assert {source for source, problem in outcome.items() if problem} == {"7", "unreadable"}
    assert set(outcome) == set(sources)
    assert sorted(maker.written) == sorted(f"{number}.png" for number in range(20) if number != 7)


def test_images_of_one_size_go_through_a_network_together() -> None:
    maker = FakeMaker()
    run(maker, [f"{number}:{1 + number % 2}" for number in range(16)], Extent(batch=4))
    assert Counter(map(len, maker.batches)) == {4: 4}
    assert all(len({number % 2 for number in batch}) == 1 for batch in maker.batches)


def test_images_of_rare_sizes_do_not_pile_up() -> None:
    maker, extent = FakeMaker(), Extent(threads=2, batch=4)
    outcome = run(maker, [f"{number}:{number}" for number in range(1, 200)], extent)
    assert len(outcome) == 199
    assert maker.most_in_work <= extent.most_in_work


@pytest.mark.parametrize("has_networks", [True, False])
def test_reading_computing_and_writing_overlap(has_networks) -> None:
    maker = FakeMaker(has_networks, seconds=0.01)
    run(maker, map(str, range(80)), Extent(threads=4))
    assert {"read", "make", "write"} in maker.seen_together


@pytest.mark.parametrize("error", [FileNotFoundError("weights are missing"), ImportError("onnxruntime")])
def test_what_would_fail_for_every_image_ends_the_run(error) -> None:
    maker = FakeMaker()

    def fail(photos):
        raise error

    maker.make = fail
    with pytest.raises(type(error), match=str(error)):
        run(maker, map(str, range(20)))
    assert not maker.written


def test_a_full_disk_ends_the_run() -> None:
    import errno

    def full(pixels, target):
        raise OSError(errno.ENOSPC, "no room")

    for has_networks in (True, False):
        maker = FakeMaker(has_networks)
        maker.write = full
        with pytest.raises(OSError, match="no room"):
            run(maker, map(str, range(100)))


@pytest.mark.parametrize("has_networks", [True, False])
def test_it_stops_when_it_is_asked_to(has_networks) -> None:
    maker, stopped, reported = FakeMaker(has_networks, seconds=0.002), threading.Event(), []

    def report(source: str, problem: str) -> None:
        reported.append(source)
        stopped.set()

    with pytest.raises(Stopped):
        Pipeline(maker, Extent(), report, stopped).run((str(n), f"{n}.png") for n in range(10**6))
    assert len(reported) < 20

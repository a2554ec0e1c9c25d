"""Batches are read ahead of the step; who reads, how many, and where a training began changes nothing."""

import dataclasses
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.toy_base import ToyBase, toy_dataset
from zeroconv.training.copy import trainable_copy
from zeroconv.training.loop import Trainer
from zeroconv.training.pairs.batches import NotCached
from zeroconv.training.pairs.cache import Cache
from zeroconv.training.pairs.dataset import Preparation, prepare_pairs
from zeroconv.training.pairs.layouts import read_folder
from zeroconv.training.pairs.order import Order
from zeroconv.training.pairs.reading import BatchStream
from zeroconv.training.report.progress import Meter
from zeroconv.training.settings import Settings

SETTINGS = Settings(steps=6, batch=3, gradient_accumulation_steps=2, learning_rate=1e-3, save_every=0, sample_every=0)


def trainer(workers: int, steps: int = 6) -> Trainer:
    base = ToyBase()
    settings = dataclasses.replace(SETTINGS, workers=workers, steps=steps)
    return Trainer(base, trainable_copy(base.unet_weights()), toy_dataset(), settings)


def same(one, other) -> bool:
    return all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_readers_trains_the_same_also_from_the_middle_of_an_epoch(workers: int) -> None:
    """Sixteen pairs in groups of three: six to an epoch, so the fourth step begins within the second."""
    whole = trainer(0)
    assert whole.run()
    first = trainer(workers, steps=3)
    assert first.run()
    second = trainer(workers)
    second.restore(first.state())
    assert second.run()
    assert same(second.weights(), whole.weights())


class Recording:
    """A dataset that remembers who read what, and when."""

    def __init__(self, seconds: float = 0.0, cached: bool = True) -> None:
        self.inner, self.seconds, self.cached = toy_dataset(), seconds, cached
        self.read: list[tuple[list[int], str]] = []
        self.event = threading.Event()

    def __len__(self) -> int:
        return len(self.inner)

    def size(self, index: int):
        return self.inner.size(index)

    def batch(self, indices):
        if not self.cached and threading.current_thread() is not threading.main_thread():
            raise NotCached
        self.read.append((list(indices), threading.current_thread().name))
        time.sleep(self.seconds)
        if len(self.read) == 3:
            self.event.set()
        return self.inner.batch(indices)

    def reader(self):
        return self


def order() -> Order:
    return Order([0] * 16, 4, seed=0)


def test_the_next_batches_are_read_while_a_step_computes() -> None:
    dataset = Recording()
    stream = BatchStream(dataset, order(), range(4))
    stream.batch(5)
    assert dataset.event.wait(5), "nothing was asked for, but two more were read"
    assert [indices for indices, _ in dataset.read[:3]] == [order().group(number) for number in (5, 6, 7)]
    assert all(name.startswith("zeroconv-reader") for _, name in dataset.read)
    stream.close()


def test_a_step_that_computes_as_long_as_reading_takes_waits_only_once() -> None:
    stream = BatchStream(Recording(seconds=0.05), order(), range(4))
    for number in range(10):
        stream.batch(number)
        time.sleep(0.08)
    assert stream.waited < 0.3, "0.5 seconds where nothing is read ahead"
    stream.close()


def test_what_was_deleted_from_the_cache_is_computed_where_the_models_are() -> None:
    dataset = Recording(cached=False)
    stream = BatchStream(dataset, order(), range(2, 4))
    assert torch.equal(stream.batch(0).latents, dataset.inner.batch(order().group(0)[2:4]).latents)
    assert dataset.read[0][1] == threading.main_thread().name
    stream.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_pairs_of_files_are_read_without_the_base_model(tmp_path: Path, workers: int) -> None:
    generator = np.random.default_rng(0)
    for folder in ("images", "conditioning_data"):
        (tmp_path / folder).mkdir()
        for number in range(4):
            Image.fromarray(generator.integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / folder / f"{number}.png")
    dataset = prepare_pairs(ToyBase(), read_folder(tmp_path).pairs, Preparation(64), Cache(tmp_path / "cache"))
    stream = BatchStream(dataset, Order([dataset.size(i) for i in range(4)], 2, 0), range(2), workers)
    for number in range(3):
        read = stream.batch(number)
        expected = dataset.batch(Order([0] * 4, 2, 0).group(number))
        assert torch.equal(read.latents, expected.latents)
        assert torch.equal(read.hints, expected.hints)
        assert torch.equal(read.prompts.context, expected.prompts.context)
    stream.close()
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(NotCached):
        dataset.reader().batch([0])


def test_waiting_is_told_only_where_it_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("zeroconv.training.report.progress.time.monotonic", lambda: float(next(clock)))
    meter = Meter()
    assert "waiting" not in str(meter.read(1, 10, 0.5, waited=0.01))
    assert "26% of it waiting for pairs" in str(meter.read(2, 10, 0.5, waited=0.51))

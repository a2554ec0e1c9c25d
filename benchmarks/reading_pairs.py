"""How long a step of training waits for its pairs: read within the step, ahead by a thread, and ahead by processes.

Pairs of JPEG pictures and PNG hints whose latents are in the cache; a pause stands for the step that a GPU computes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..training.base import Prompt
from ..training.pairs.cache import Cache
from ..training.pairs.dataset import PairDataset, Preparation, prepare_pairs
from ..training.pairs.layouts import read_folder
from ..training.pairs.order import Order
from ..training.pairs.reading import BatchStream
from .folder_hints import photographs


class StandIn:
    """An encoder without models: tensors of the shapes of Stable Diffusion 1.5."""

    device = torch.device("cpu")
    fingerprint = "stand-in"

    def prepare(self, phase: str) -> None:
        """Nothing to move."""

    def encode_images(self, images: Tensor) -> Tensor:
        return torch.zeros(len(images), 4, images.shape[2] // 8, images.shape[3] // 8)

    def encode_prompts(self, prompts: Sequence[str], height: int, width: int) -> Prompt:
        return Prompt(torch.zeros(len(prompts), 77, 768))


def pairs(folder: Path, count: int, size: int) -> PairDataset:
    """A folder of pairs, encoded."""
    photographs(folder / "images", count, size, ".jpg")
    photographs(folder / "conditioning_data", count, size, ".png")
    base: object = StandIn()
    cache = Cache(folder / "cache")
    return prepare_pairs(base, read_folder(folder).pairs, Preparation(size), cache)  # pyright: ignore[reportArgumentType]


def waited(dataset: PairDataset, batch: int, steps: int, step_seconds: float, workers: int | None) -> float:
    """Seconds a step, after the first two; workers: as in Settings, None to read within the step."""
    order = Order([dataset.size(index) for index in range(len(dataset))], batch, 0)
    stream = BatchStream(dataset, order, range(batch), workers or 0)
    total = 0.0
    for number in range(steps + 2):
        begin = time.monotonic()
        if workers is None:
            dataset.batch(order.group(number))
        else:
            stream.batch(number)
        total += (time.monotonic() - begin) * (number >= 2)
        time.sleep(step_seconds)
    stream.close()
    return total / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=32)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--step-seconds", type=float, default=0.5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        dataset = pairs(Path(folder), arguments.pairs, arguments.size)
        for name, workers in (("within the step", None), ("a thread", 0), ("2 processes", 2)):
            seconds = waited(dataset, arguments.batch, arguments.steps, arguments.step_seconds, workers)
            print(f"{name:16}{1000 * seconds:8.1f} ms a step of {1000 * arguments.step_seconds:.0f} ms", flush=True)


if __name__ == "__main__":
    main()

"""Data sets that were encoded before, by `zeroconv dataset`: shards, a list of pairs and a manifest."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from ...datasets.manifest import read_manifest, write_manifest
from ...datasets.shards import TensorShards
from ...storage.names import name_of
from ...storage.writing import write_bytes
from ..base import BaseModel, Prompt, join_prompts
from ..processes import Processes
from .batches import Batch, BatchReader, NotCached
from .cache import Cache
from .dataset import PairDataset, Preparation, ReportProgress, TrainingSource, decode_hint

PAIRS = "pairs.jsonl"
MOST_LINE_BYTES = 100_000


@dataclass(frozen=True)
class PreparedEntry:
    """A pair by the keys of its tensors. width, height: of its bucket, in pixels. name: of its picture."""

    name: str
    width: int
    height: int
    latents: str
    hint: str
    prompt: str
    empty: str


class PreparedDataset:
    """Encoded pairs in the shards of a folder."""

    problems: Sequence[str] = ()

    def __init__(self, shards: TensorShards, entries: Sequence[PreparedEntry]) -> None:
        self._shards, self._entries = shards, entries

    def __len__(self) -> int:
        return len(self._entries)

    def size(self, index: int) -> tuple[int, int]:
        return self._entries[index].width, self._entries[index].height

    def largest(self) -> tuple[int, int]:
        """Height and width of the bucket with the most pixels that is in use."""
        entry = max(self._entries, key=lambda entry: entry.width * entry.height)
        return entry.height, entry.width

    def batch(self, indices: Sequence[int]) -> Batch:
        chosen = [self._entries[index] for index in indices]
        return Batch(
            torch.stack([self._tensor(entry.latents, "latents") for entry in chosen]).float(),
            torch.stack([decode_hint(self._tensor(entry.hint, "png")) for entry in chosen]).float() / 255,
            join_prompts([self._prompt(entry.prompt) for entry in chosen]),
            self._prompt(chosen[0].empty),
        )

    def reader(self) -> BatchReader:
        return self

    def _tensor(self, key: str, name: str) -> torch.Tensor:
        return self._tensors(key)[name]

    def _prompt(self, key: str) -> Prompt:
        tensors = self._tensors(key)
        vector = tensors.get("vector")
        return Prompt(tensors["context"].float(), None if vector is None else vector.float())

    def _tensors(self, key: str) -> dict[str, torch.Tensor]:
        tensors = self._shards.get(key)
        if tensors is None:
            raise NotCached(f"The prepared data set has lost {key}: make it again with `zeroconv dataset`.")
        return tensors


@dataclass(frozen=True)
class PreparedSource:
    """The prepared data set in a folder, as something to train on."""

    folder: Path
    preparation: Preparation
    problems: Sequence[str] = ()

    def summary(self) -> str:
        """How many pairs there are, and what they were encoded with."""
        about = read_manifest(self.folder).about
        return f"{about['pairs']} pairs, encoded for {about['family']} at {about['resolution']} pixels."

    def prepare(
        self, base: BaseModel, cache: Cache, report: ReportProgress | None = None, processes: Processes | None = None
    ) -> PreparedDataset:
        """Open it. Raises ValueError when it was made with another base model, or is damaged."""
        about = read_manifest(self.folder).about
        if about.get("fingerprint") != base.fingerprint:
            raise ValueError(
                f"The data set in '{self.folder.name}' was encoded with another base model ({about.get('family')}, "
                f"'{about.get('checkpoint')}'). Load that one, or make the set again with `zeroconv dataset`."
            )
        return PreparedDataset(TensorShards(self.folder), _read_entries(self.folder / PAIRS))


def write_prepared(
    base: BaseModel,
    source: TrainingSource,
    folder: Path,
    checkpoint: str,
    report: ReportProgress | None = None,
    processes: Processes | None = None,
) -> tuple[int, list[str]]:
    """Encode a data set into a folder; what is there already is not made again.

    Every process must call it. Returns how many pairs there are, and a line for each that was skipped.
    """
    processes, cache = processes or Processes(), Cache(folder)
    dataset = source.prepare(base, cache, report, processes)
    for number in range(processes.index, len(dataset.pairs), processes.count):
        dataset.store_hint(number)
    cache.flush()
    processes.gather([])
    cache.refresh()
    if processes.main:
        entries = [_entry(dataset, number) for number in range(len(dataset))]
        write_bytes(folder / PAIRS, "".join(f"{json.dumps(asdict(entry))}\n" for entry in entries).encode())
        about = {
            "family": base.family,
            "fingerprint": base.fingerprint,
            "checkpoint": checkpoint,
            "resolution": source.preparation.resolution,
            "pairs": len(dataset),
        }
        write_manifest(folder, [folder / PAIRS, *cache.shards.files()], about)
    processes.gather([])
    return len(dataset), dataset.problems


def _read_entries(path: Path) -> list[PreparedEntry]:
    entries = []
    with path.open("rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(MOST_LINE_BYTES), b""), 1):
            try:
                entries.append(PreparedEntry(**json.loads(line)))
            except (ValueError, TypeError, RecursionError) as error:
                raise ValueError(
                    f"Line {number} of {name_of(path)} is damaged. Make the set again with `zeroconv dataset`: what is "
                    "there is not made twice."
                ) from error
    return entries


def _entry(dataset: PairDataset, number: int) -> PreparedEntry:
    pair = dataset.pairs[number]
    return PreparedEntry(pair.pair.target.name, pair.cut.width, pair.cut.height, **dataset.keys(number))

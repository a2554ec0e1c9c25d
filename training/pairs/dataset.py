"""Pairs made ready for training: cut into buckets, encoded once, read when needed."""

import io
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import Tensor

from ...datasets.hint_files import HintFormat
from ...preprocessors.running import to_bytes
from ..base import BaseModel, Prompt, join_prompts
from ..processes import Processes
from .batches import Batch, BatchReader, NotCached
from .buckets import Cut, check_same_shape, cut_to_bucket
from .cache import Cache, Tensors, cache_key, halved
from .pair import Pair
from .pictures import Picture, to_tensor

HINT_FORMAT = HintFormat("png")
"""Made hints are kept as files are, several times smaller than their values."""

ReportProgress = Callable[[int, int], None]
"""Called with what is done and what there is in all; may raise to stop."""


@dataclass(frozen=True)
class HintMaker:
    """Makes hints from pictures.

    name: changes with the method and its settings. make: (1, H, W, 3), 0..1 to the same.
    """

    name: str
    make: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Preparation:
    """How pairs are made ready.

    resolution: side of a square picture, pixels. flip: train on a mirrored copy of each as well. hint_maker: None when
    the hints are those of the pairs.
    """

    resolution: int = 512
    flip: bool = False
    hint_maker: HintMaker | None = None


@dataclass(frozen=True)
class TrainingSource:
    """The pairs to train on, and how they are made ready. problems: a line for each entry that was skipped."""

    pairs: list[Pair]
    preparation: Preparation
    problems: list[str] = field(default_factory=list)

    def summary(self, limit: int = 10) -> str:
        """How many pairs there are, how many have no prompt, and the first `limit` entries that were skipped."""
        lines = [f"{len(self.pairs)} pairs."]
        without = sum(not pair.prompt for pair in self.pairs)
        if without:
            lines.append(f"{without} of them have no prompt.")
        if self.problems:
            lines.append(f"{len(self.problems)} entries are skipped:")
        lines += self.problems[:limit]
        if len(self.problems) > limit:
            lines.append(f"... and {len(self.problems) - limit} more.")
        return "\n".join(lines)

    def prepare(
        self,
        base: BaseModel,
        cache: Cache,
        report: ReportProgress | None = None,
        processes: Processes | None = None,
    ) -> "PairDataset":
        """Encode the pairs; as `prepare_pairs`."""
        return prepare_pairs(base, self.pairs, self.preparation, cache, report, processes)


@dataclass(frozen=True)
class PreparedPair:
    """A pair as the network sees it: its cut, whether mirrored, and the digest of the picture."""

    pair: Pair
    cut: Cut
    mirrored: bool
    digest: str


class PairDataset:
    """Encoded pairs, a mirrored one counted by itself. `problems`: a line for each pair that was skipped."""

    def __init__(self, pairs: Sequence[PreparedPair], encodings: "CachedEncodings", problems: Sequence[str]) -> None:
        self.pairs, self.problems = list(pairs), list(problems)
        self._encodings = encodings

    def __len__(self) -> int:
        return len(self.pairs)

    def size(self, index: int) -> Hashable:
        return self.pairs[index].cut.width, self.pairs[index].cut.height

    def largest(self) -> tuple[int, int]:
        """Height and width of the bucket with the most pixels that is in use."""
        cut = max((pair.cut for pair in self.pairs), key=lambda cut: cut.width * cut.height)
        return cut.height, cut.width

    def batch(self, indices: Sequence[int]) -> Batch:
        chosen = [self.pairs[i] for i in indices]
        encodings, cut = self._encodings, chosen[0].cut
        return Batch(
            torch.stack([encodings.latents(pair) for pair in chosen]).float(),
            torch.stack([encodings.hint(pair) for pair in chosen]).float() / 255,
            join_prompts([encodings.prompt(pair.pair.prompt, cut) for pair in chosen]),
            encodings.prompt("", cut),
        )

    def reader(self) -> BatchReader:
        return PairDataset(self.pairs, self._encodings.without_models(), self.problems)

    def keys(self, index: int) -> dict[str, str]:
        """The keys in the cache of all that a pair consists of: latents, hint, prompt, empty (prompt)."""
        pair, encodings = self.pairs[index], self._encodings
        return {
            "latents": encodings.key("latents", pair),
            "hint": encodings.hint_key(pair),
            "prompt": encodings.prompt_key(pair.pair.prompt, pair.cut),
            "empty": encodings.prompt_key("", pair.cut),
        }

    def store_hint(self, index: int) -> None:
        """Put a pair's hint into the cache, also one that comes from a file."""
        self._encodings.store_hint(self.pairs[index])


@dataclass(frozen=True)
class _AbsentModels:
    """Stands for the base model and the hint maker where only the cache is read."""

    fingerprint: str
    name: str = ""

    def compute(self, *inputs: object) -> Any:
        raise NotCached

    make = encode_images = encode_prompts = compute
    device = torch.device("cpu")


class CachedEncodings:
    """Latents, hints and prompts of pairs, each computed once."""

    def __init__(
        self, base: BaseModel | _AbsentModels, hint_maker: HintMaker | _AbsentModels | None, cache: Cache
    ) -> None:
        self._base, self._hint_maker, self._cache = base, hint_maker, cache

    def without_models(self) -> "CachedEncodings":
        """The part that is in the cache; anything else raises NotCached."""
        fingerprint = self._base.fingerprint
        maker = None if self._hint_maker is None else _AbsentModels(fingerprint, self._hint_maker.name)
        return CachedEncodings(_AbsentModels(fingerprint), maker, self._cache)

    def latents(self, pair: PreparedPair) -> Tensor:
        """(C, h, w), in half precision where that holds them."""

        def make() -> Tensors:
            image = self._shown(pair, pair.pair.target.open(), Image.Resampling.LANCZOS)
            pixels = to_tensor(image)[None].to(self._base.device).float() / 255
            return {"latents": halved(self._base.encode_images(pixels)[0])}

        return self._cache.get(self.key("latents", pair), make, "pair", "latents")["latents"]

    def hint(self, pair: PreparedPair) -> Tensor:
        """(3, H, W) uint8. A hint from a file is read again each time: it needs no model, and would need memory."""
        if pair.pair.hint is not None:
            return self._hint_of_file(pair, pair.pair.hint)
        maker = self._hint_maker
        if maker is None:
            raise ValueError(f"'{pair.pair.target.name}' has no hint. Choose a preprocessor that makes hints.")

        def make() -> Tensors:
            image = self._shown(pair, pair.pair.target.open(), Image.Resampling.LANCZOS)
            made = maker.make(to_tensor(image).permute(1, 2, 0)[None].float() / 255)
            return _encoded(made[0])

        return decode_hint(self._cache.get(self.hint_key(pair), make, "pair", "png")["png"])

    def store_hint(self, pair: PreparedPair) -> None:
        """Put the hint into the cache, also one that comes from a file."""
        hint = pair.pair.hint
        if hint is not None:
            self._cache.get(self.hint_key(pair), lambda: _encoded(self._hint_of_file(pair, hint).permute(1, 2, 0)))

    def hint_key(self, pair: PreparedPair) -> str:
        """The hint's key: by its content, or by the method that makes it."""
        if pair.pair.hint is not None:
            return self.key(f"hint {pair.pair.hint.digest()}", pair)
        return self.key(f"hint {self._hint_maker.name if self._hint_maker else ''}", pair)

    def _hint_of_file(self, pair: PreparedPair, hint: Picture) -> Tensor:
        return to_tensor(self._shown(pair, hint.open(), Image.Resampling.BILINEAR))

    def prompt(self, text: str, cut: Cut) -> Prompt:
        """The encoded prompt for pictures of a bucket: one row."""

        def make() -> Tensors:
            prompt = self._base.encode_prompts([text], cut.height, cut.width)
            vector = {} if prompt.vector is None else {"vector": halved(prompt.vector)}
            return {"context": halved(prompt.context), **vector}

        tensors = self._cache.get(self.prompt_key(text, cut), make, "prompt", "context")
        vector = tensors.get("vector")
        return Prompt(tensors["context"].float(), None if vector is None else vector.float())

    def prompt_key(self, text: str, cut: Cut) -> str:
        """The key of a prompt: the same for all pictures of a bucket."""
        return cache_key("prompt", self._base.fingerprint, cut.width, cut.height, text)

    def key(self, what: str, pair: PreparedPair) -> str:
        """The key of what is computed from a pair's picture."""
        return cache_key(what, self._base.fingerprint, pair.digest, pair.cut, pair.mirrored)

    def _shown(self, pair: PreparedPair, image: Image.Image, filter: Image.Resampling) -> Image.Image:
        image = pair.cut.apply(image, filter)
        return ImageOps.mirror(image) if pair.mirrored else image


def _encoded(hint: Tensor) -> Tensors:
    """A hint, (H, W, 3) uint8 or 0..1, as the bytes of a file."""
    return {"png": torch.frombuffer(bytearray(HINT_FORMAT.encode(to_bytes(hint))), dtype=torch.uint8)}


def decode_hint(content: Tensor) -> Tensor:
    """The bytes of a hint's file, (N,) uint8, to (3, H, W) uint8."""
    return to_tensor(Image.open(io.BytesIO(content.numpy().tobytes())).convert("RGB"))


def prepare_pairs(
    base: BaseModel,
    pairs: Sequence[Pair],
    preparation: Preparation,
    cache: Cache,
    report: ReportProgress | None = None,
    processes: Processes | None = None,
) -> PairDataset:
    """Encode all pairs, skipping those that cannot be read.

    Several processes share the work; each must call it with the same pairs, and a cache in the same folder. `report`
    hears of this process's share of the pairs, then of the prompts. Raises ValueError when no pair is left, naming the
    first problems.
    """
    processes, report = processes or Processes(), report or (lambda done, total: None)
    base.prepare("encode")
    encodings = CachedEncodings(base, preparation.hint_maker, cache)
    results: list[tuple[int, list[PreparedPair] | str]] = []
    share = range(processes.index, len(pairs), processes.count)
    try:
        for number in share:
            try:
                results.append((number, _encode(encodings, pairs[number], preparation)))
            except ValueError as error:
                results.append((number, f"{pairs[number].target.name}: {error}"))
            report(len(results), len(share))
    finally:
        cache.flush()  # also what was encoded before an interrupt
    results = sorted(processes.gather(results), key=lambda result: result[0])
    prepared = [pair for _, result in results if not isinstance(result, str) for pair in result]
    problems = [result for _, result in results if isinstance(result, str)]
    if not prepared:
        raise ValueError(
            f"No pair of {len(pairs)} can be used. First problems: {'; '.join(problems[:3]) or 'no pairs'}."
        )
    _encode_prompts(encodings, prepared, report, processes)
    cache.flush()
    processes.gather([])  # none goes on before all are there
    cache.refresh()
    return PairDataset(prepared, encodings, problems)


def _encode(encodings: CachedEncodings, pair: Pair, preparation: Preparation) -> list[PreparedPair]:
    """Encode hint and picture. Raises ValueError when one of them cannot be used."""
    size = pair.target.size()
    if pair.hint is not None:
        check_same_shape(size, pair.hint.size())
    cut, digest = cut_to_bucket(size, preparation.resolution), pair.target.digest()
    orientations = (False, True) if preparation.flip else (False,)
    prepared = [PreparedPair(pair, cut, mirrored, digest) for mirrored in orientations]
    for each in prepared:
        encodings.hint(each)
        encodings.latents(each)
    return prepared * pair.repeats


def _encode_prompts(
    encodings: CachedEncodings, pairs: Sequence[PreparedPair], report: ReportProgress, processes: Processes
) -> None:
    """Encode every prompt, and the empty one, once for each size that it is used at."""
    used = dict.fromkeys((text, pair.cut) for pair in pairs for text in (pair.pair.prompt, ""))
    wanted = list({(text, cut.width, cut.height): (text, cut) for text, cut in used}.values())
    share = wanted[processes.index :: processes.count]
    for number, (text, cut) in enumerate(share, 1):
        encodings.prompt(text, cut)
        report(number, len(share))

"""Pairs made ready for training: cut into buckets, encoded once, read when needed."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageOps
from torch import Tensor

from .base import BaseModel, Prompt, join_prompts
from .batches import Batch
from .buckets import Cut, check_same_shape, cut_to_bucket
from .cache import Cache, Tensors, cache_key
from .layouts import Pair
from .pictures import to_tensor

Report = Callable[[int, int], None]
"""Told the samples done and all samples; may raise to stop."""


@dataclass(frozen=True)
class HintMaker:
    """Makes hints from pictures.

    name: changes with the method and its settings. make: (1, H, W, 3), 0..1 to the same.
    """

    name: str
    make: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Preparation:
    """How pairs are made ready. resolution: side of a square picture, pixels. flip: show each mirrored as well."""

    resolution: int = 512
    flip: bool = False
    hints: HintMaker | None = None


@dataclass(frozen=True)
class Sample:
    """A pair as it is shown: its cut, whether mirrored, and the digest of the picture."""

    pair: Pair
    cut: Cut
    mirrored: bool
    digest: str


class PairDataset:
    """Encoded pairs. `problems`: one line for each pair that was skipped."""

    def __init__(self, samples: Sequence[Sample], encoder: "Encoder", problems: Sequence[str]) -> None:
        self.samples, self.problems = list(samples), list(problems)
        self._encoder = encoder

    def __len__(self) -> int:
        return len(self.samples)

    def size(self, index: int) -> Hashable:
        return self.samples[index].cut.width, self.samples[index].cut.height

    def batch(self, indices: Sequence[int]) -> Batch:
        chosen = [self.samples[i] for i in indices]
        encoder, cut = self._encoder, chosen[0].cut
        return Batch(
            torch.stack([encoder.latents(sample) for sample in chosen]),
            torch.stack([encoder.hint(sample) for sample in chosen]).float() / 255,
            join_prompts([encoder.prompt(sample.pair.prompt, cut) for sample in chosen]),
            encoder.prompt("", cut),
        )


class Encoder:
    """Brings samples into the form of a batch, each thing once."""

    def __init__(self, base: BaseModel, preparation: Preparation, cache: Cache) -> None:
        self._base, self._maker, self._cache = base, preparation.hints, cache

    def latents(self, sample: Sample) -> Tensor:
        """(C, h, w)."""

        def make() -> Tensors:
            image = self._shown(sample, sample.pair.target.open(), Image.Resampling.LANCZOS)
            pixels = to_tensor(image)[None].to(self._base.device).float() / 255
            return {"latents": self._base.encode_images(pixels)[0].float()}

        return self._cache.get(self._key("latents", sample), make)["latents"]

    def hint(self, sample: Sample) -> Tensor:
        """(3, H, W) uint8. A hint from a file is read again each time: it costs no model, and memory otherwise."""
        if sample.pair.hint is not None:
            return to_tensor(self._shown(sample, sample.pair.hint.open(), Image.Resampling.BILINEAR))
        maker = self._maker
        if maker is None:
            raise ValueError(f"'{sample.pair.target.name}' has no hint. Choose a preprocessor that makes hints.")

        def make() -> Tensors:
            image = self._shown(sample, sample.pair.target.open(), Image.Resampling.LANCZOS)
            made = maker.make(to_tensor(image).permute(1, 2, 0)[None].float() / 255)
            return {"hint": made[0].clamp(0, 1).mul(255).round().byte().permute(2, 0, 1)}

        return self._cache.get(self._key(f"hint {maker.name}", sample), make)["hint"]

    def prompt(self, text: str, cut: Cut) -> Prompt:
        """The encoded prompt: one row."""

        def make() -> Tensors:
            prompt = self._base.encode_prompts([text], cut.height, cut.width)
            vector = {} if prompt.vector is None else {"vector": prompt.vector.float()}
            return {"context": prompt.context.float(), **vector}

        kept = self._cache.get(cache_key("prompt", self._base.fingerprint, cut.width, cut.height, text), make)
        return Prompt(kept["context"], kept.get("vector"))

    def _key(self, what: str, sample: Sample) -> str:
        return cache_key(what, self._base.fingerprint, sample.digest, sample.cut, sample.mirrored)

    def _shown(self, sample: Sample, image: Image.Image, filter: Image.Resampling) -> Image.Image:
        image = sample.cut.apply(image, filter)
        return ImageOps.mirror(image) if sample.mirrored else image


def prepare_pairs(
    base: BaseModel, pairs: Sequence[Pair], preparation: Preparation, cache: Cache, report: Report | None = None
) -> PairDataset:
    """Encode all pairs, skipping those that cannot be read.

    Raises ValueError when none is left, naming the first problems.
    """
    base.prepare("encode")
    encoder = Encoder(base, preparation, cache)
    samples: list[Sample] = []
    problems: list[str] = []
    for number, pair in enumerate(pairs):
        try:
            shown = _samples(pair, preparation)
            for sample in shown:
                encoder.hint(sample)
                encoder.latents(sample)
                encoder.prompt(pair.prompt, sample.cut)
                encoder.prompt("", sample.cut)
            samples += shown
        except ValueError as error:
            problems.append(f"{pair.target.name}: {error}")
        if report:
            report(number + 1, len(pairs))
    if not samples:
        raise ValueError(
            f"No pair of {len(pairs)} can be used. First problems: {'; '.join(problems[:3]) or 'no pairs'}."
        )
    return PairDataset(samples, encoder, problems)


def _samples(pair: Pair, preparation: Preparation) -> list[Sample]:
    size = pair.target.size()
    if pair.hint is not None:
        check_same_shape(size, pair.hint.size())
    cut = cut_to_bucket(size, preparation.resolution)
    digest = pair.target.digest()
    return [Sample(pair, cut, mirrored, digest) for mirrored in ((False, True) if preparation.flip else (False,))]

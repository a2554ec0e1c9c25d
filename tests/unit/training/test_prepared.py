"""A prepared data set trains as the pairs it was made of, without any model or picture of theirs."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.toy_base import ToyBase
from zeroconv.training.copy import trainable_copy
from zeroconv.training.loop import Trainer
from zeroconv.training.pairs.cache import Cache
from zeroconv.training.pairs.dataset import HintMaker, Preparation
from zeroconv.training.pairs.prepared import PAIRS, PreparedSource, write_prepared
from zeroconv.training.pairs.sources import pairs_of_folder, source_of_folder
from zeroconv.training.settings import Settings


class CountingBase(ToyBase):
    """Counts what it encodes."""

    encoded = 0

    def encode_images(self, images):
        self.encoded += len(images)
        return super().encode_images(images)

    def encode_prompts(self, prompts, height, width):
        self.encoded += len(prompts)
        return super().encode_prompts(prompts, height, width)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for kind in ("images", "conditioning_data"):
        (tmp_path / "pairs" / kind).mkdir(parents=True)
        for number in range(6):
            size = (64, 64) if number % 2 else (64, 128)
            pixels = generator.integers(0, 255, (*size, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pairs" / kind / f"{number}.png")
    for number in range(4):
        (tmp_path / "pairs" / "images" / f"{number}.txt").write_text(f"prompt {number // 2}")
    return tmp_path / "pairs"


def prepare(base: ToyBase, folder: Path, preparation: Preparation, target: Path) -> int:
    return write_prepared(base, pairs_of_folder(folder, preparation), target, "toy.safetensors")[0]


def invert(image: torch.Tensor) -> torch.Tensor:
    return 1 - image


@pytest.mark.parametrize("maker", [None, HintMaker("invert", invert)], ids=["hints of files", "made hints"])
def test_it_trains_bit_for_bit_as_the_pairs_do(tmp_path: Path, folder: Path, maker) -> None:
    preparation = Preparation(64, flip=True, hint_maker=maker)
    base, settings = CountingBase(), Settings(steps=3, batch=2, learning_rate=1e-3, save_every=0, sample_every=0)
    assert prepare(base, folder, preparation, tmp_path / "set") == 12
    weights = []
    for source in (pairs_of_folder(folder, preparation), source_of_folder(tmp_path / "set", preparation)):
        if isinstance(source, PreparedSource):
            shutil.rmtree(folder)
        before = base.encoded
        dataset = source.prepare(base, Cache())
        trainer = Trainer(base, trainable_copy(base.unet_weights()), dataset, settings)
        assert trainer.run()
        weights.append(trainer.weights())
    assert base.encoded == before, "nothing is encoded for a prepared set"
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())
    assert "12 pairs, encoded for SD1.5 at 64 pixels" in source.summary()


def test_prompts_are_encoded_once_each_and_nothing_twice(tmp_path: Path, folder: Path) -> None:
    base = CountingBase()
    prepare(base, folder, Preparation(64), tmp_path / "set")
    first = base.encoded
    assert first <= 6 + 3 * 2, "six pictures; two prompts and the empty one, in two buckets"
    prepare(base, folder, Preparation(64), tmp_path / "set")
    assert base.encoded == first
    names = [path.name for path in (tmp_path / "set").iterdir()]
    assert len(names) <= 5, "not a file a picture"


def test_another_base_model_is_refused_with_both_ways_out(tmp_path: Path, folder: Path) -> None:
    prepare(ToyBase(), folder, Preparation(64), tmp_path / "set")
    other = ToyBase()
    other.fingerprint = "another"
    with pytest.raises(ValueError, match=r"toy\.safetensors.*zeroconv dataset"):
        PreparedSource(tmp_path / "set", Preparation()).prepare(other, Cache())


@pytest.mark.parametrize("line", ["[]", '{"name": "a"}', "not JSON"])
def test_a_damaged_list_of_pairs_is_named(tmp_path: Path, folder: Path, line: str) -> None:
    from zeroconv.datasets.manifest import write_manifest

    prepare(ToyBase(), folder, Preparation(64), tmp_path / "set")
    path = tmp_path / "set" / PAIRS
    path.write_text(path.read_text() + line + "\n")
    write_manifest(tmp_path / "set", [path], {"fingerprint": "toy"})
    with pytest.raises(ValueError, match=r"Line 7 of 'pairs\.jsonl'"):
        PreparedSource(tmp_path / "set", dataclasses.replace(Preparation())).prepare(ToyBase(), Cache())

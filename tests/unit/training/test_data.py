"""Datasets: every layout is found, no pair is lost in silence, hint and picture stay on each other."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from support.toy_base import ToyBase
from zeroconv.training.base import Prompt
from zeroconv.training.objective import Objective, denoising_loss, draw
from zeroconv.training.pairs.buckets import bucket_sizes, check_same_shape, cut_to_bucket
from zeroconv.training.pairs.cache import Cache, halved
from zeroconv.training.pairs.dataset import HintMaker, Preparation, prepare_pairs
from zeroconv.training.pairs.layouts import read_folder
from zeroconv.training.pairs.pair import Pair
from zeroconv.training.pairs.pictures import FilePicture, TensorPicture, to_tensor
from zeroconv.training.pairs.sources import source_of_folder


def picture(path: Path, size: tuple[int, int] = (64, 64), seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def named(pairs: list[Pair]) -> list[tuple[str, str | None, str]]:
    return [(pair.target.name, pair.hint.name if pair.hint else None, pair.prompt) for pair in pairs]


def test_fill50k_layout(tmp_path: Path) -> None:
    for folder in ("source", "target"):
        picture(tmp_path / folder / "0.png")
    lines = [
        {"source": "source/0.png", "target": "target/0.png", "prompt": "a circle"},
        {"source": "source/1.png", "target": "target/0.png", "prompt": "no hint"},
        {"source": "../../etc/passwd", "target": "target/0.png", "prompt": "outside"},
    ]
    (tmp_path / "prompt.json").write_text("\n".join([*map(json.dumps, lines), "{broken"]))
    listing = read_folder(tmp_path)
    assert listing.layout == "fill50k"
    assert named(listing.pairs) == [("0.png", "0.png", "a circle")]
    assert listing.pairs[0].hint.path.parent.name == "source"
    assert len(listing.problems) == 3
    assert "line 2" in listing.problems[0]
    assert "source/1.png" in listing.problems[0]
    assert "outside" in listing.problems[1]
    assert "line 4" in listing.problems[2]


@pytest.mark.parametrize("column", ["image", "file_name"])
def test_diffusers_layout(tmp_path: Path, column: str) -> None:
    picture(tmp_path / "train" / "images" / "a.png")
    picture(tmp_path / "train" / "edges" / "a.png")
    line = {column: "images/a.png", "conditioning_image": "edges/a.png", "text": "a house"}
    (tmp_path / "train" / "metadata.jsonl").write_text(json.dumps(line) + "\n\n")
    listing = read_folder(tmp_path)
    assert (listing.layout, listing.problems) == ("diffusers", [])
    assert named(listing.pairs) == [("a.png", "a.png", "a house")]


def test_same_names_layout(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.jpg")
    picture(tmp_path / "conditioning_data" / "a.webp")
    picture(tmp_path / "conditioning_data" / "c.png")
    (tmp_path / "a.txt").write_text("a cat\n")
    listing = read_folder(tmp_path)
    assert listing.layout == "same names"
    assert named(listing.pairs) == [("a.png", "a.webp", "a cat")]
    assert [problem.split(":")[0] for problem in listing.problems] == ["b.jpg", "c.png"]


def test_pictures_alone(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    assert named(read_folder(tmp_path).pairs) == [("a.png", None, "")]


def test_a_folder_without_pictures_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no dataset"):
        read_folder(tmp_path)


@pytest.mark.parametrize("resolution", [512, 768, 1024])
def test_buckets_keep_the_area_and_cover_the_shapes(resolution: int) -> None:
    sizes = bucket_sizes(resolution)
    assert (resolution, resolution) in sizes
    for width, height in sizes:
        assert width % 64 == height % 64 == 0
        assert 0.85 < width * height / resolution**2 < 1.18
        assert (height, width) in sizes or abs(width * height - resolution**2) / resolution**2 < 0.15


@pytest.mark.parametrize("size", [(512, 512), (1000, 700), (700, 1000), (4000, 500), (513, 511)])
def test_a_cut_has_the_buckets_shape_and_is_central(size: tuple[int, int]) -> None:
    cut = cut_to_bucket(size, 512)
    left, upper, right, lower = cut.box
    kept = (right - left) * size[0] / ((lower - upper) * size[1])
    assert kept == pytest.approx(cut.width / cut.height, rel=1e-6)
    assert (left + right, upper + lower) == pytest.approx((1, 1))
    assert max(right - left, lower - upper) == pytest.approx(1)


def test_a_picture_of_the_buckets_size_stays_as_it_is(tmp_path: Path) -> None:
    image = FilePicture(picture(tmp_path / "a.png", (128, 64))).open()
    cut = cut_to_bucket((128, 64), 128)
    if (cut.width, cut.height) == image.size:
        assert cut.apply(image, Image.Resampling.LANCZOS).tobytes() == image.tobytes()
    square = FilePicture(picture(tmp_path / "b.png", (128, 128))).open()
    assert cut_to_bucket((128, 128), 128).apply(square, Image.Resampling.LANCZOS).tobytes() == square.tobytes()


def test_hint_of_half_the_size_is_cut_exactly_as_its_picture() -> None:
    """A white square at one place of the picture is white at the same place of the hint."""
    target, hint = np.zeros((300, 400, 3), np.uint8), np.zeros((150, 200, 3), np.uint8)
    target[100:160, 240:300] = hint[50:80, 120:150] = 255
    cut = cut_to_bucket((400, 300), 256)
    made = [np.asarray(cut.apply(Image.fromarray(t), Image.Resampling.BOX)) > 127 for t in (target, hint)]
    both, either = (made[0] & made[1]).sum(), (made[0] | made[1]).sum()
    assert either > 1000
    assert both / either > 0.94


def test_hints_of_another_shape_are_refused() -> None:
    check_same_shape((1000, 700), (500, 350))
    check_same_shape((1000, 701), (500, 350))
    with pytest.raises(ValueError, match="500x500"):
        check_same_shape((1000, 700), (500, 500))


HALF = {"rtol": 1e-3, "atol": 1e-4}
"""The rounding of half precision, in which latents are kept."""


def test_flip_mirrors_both(tmp_path: Path) -> None:
    target = torch.rand(64, 64, 3)
    pair = Pair(TensorPicture("t", target), TensorPicture("h", target), "x")
    dataset = prepare_pairs(ToyBase(), [pair], Preparation(64, flip=True), Cache())
    assert len(dataset) == 2
    plain, mirrored = dataset.batch([0]), dataset.batch([1])
    assert torch.equal(mirrored.hints, plain.hints.flip(-1))
    torch.testing.assert_close(mirrored.latents, plain.latents.flip(-1), **HALF)
    torch.testing.assert_close(plain.hints[0], target.permute(2, 0, 1), atol=1 / 255, rtol=0)
    torch.testing.assert_close(plain.latents, ToyBase().encode_images(plain.hints), **HALF)


def test_exif_rotation_and_transparency(tmp_path: Path) -> None:
    left = Image.new("RGB", (40, 20), "black")
    left.paste("white", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise: left becomes top
    left.save(tmp_path / "turned.png", exif=exif)
    turned = FilePicture(tmp_path / "turned.png")
    assert turned.size() == (20, 40) == turned.open().size
    assert turned.open().getpixel((10, 5)) == (255, 255, 255)
    assert turned.open().getpixel((10, 35)) == (0, 0, 0)
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    clear.putpixel((0, 0), (255, 0, 0, 255))
    clear.save(tmp_path / "clear.png")
    opened = FilePicture(tmp_path / "clear.png").open()
    assert (opened.getpixel((0, 0)), opened.getpixel((3, 3))) == ((255, 0, 0), (255, 255, 255))
    Image.fromarray(np.array([[0, 65535], [32896, 257]], np.uint16)).save(tmp_path / "deep.png")
    assert to_tensor(FilePicture(tmp_path / "deep.png").open())[0].tolist() == [[0, 255], [128, 1]]


def test_unreadable_pairs_are_skipped_by_name(tmp_path: Path) -> None:
    good = FilePicture(picture(tmp_path / "good.png"))
    whole = picture(tmp_path / "whole.png", seed=1).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("<html>")
    pairs = [Pair(good, good, "")]
    pairs += [Pair(good, FilePicture(tmp_path / "cut.png"), ""), Pair(FilePicture(tmp_path / "text.png"), good, "")]
    seen: list[tuple[int, int]] = []
    dataset = prepare_pairs(ToyBase(), pairs, Preparation(64), Cache(), lambda done, total: seen.append((done, total)))
    assert len(dataset) == 1
    assert len(dataset.problems) == 2
    assert "cut.png" in dataset.problems[0]
    assert "text.png" in dataset.problems[1]
    assert seen == [(1, 3), (2, 3), (3, 3), (1, 1)], "the pairs, then the prompts"
    with pytest.raises(ValueError, match="No pair of 2"):
        prepare_pairs(ToyBase(), pairs[1:], Preparation(64), Cache())


class CountingBase(ToyBase):
    """Counts what it is asked to encode."""

    def __init__(self) -> None:
        super().__init__()
        self.images, self.prompts = 0, 0

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        self.images += 1
        return super().encode_images(images)

    def encode_prompts(self, prompts, height: int, width: int):
        self.prompts += 1
        return super().encode_prompts(prompts, height, width)


def test_everything_is_encoded_once_and_again_when_model_or_picture_change(tmp_path: Path) -> None:
    paths = [picture(tmp_path / f"{i}.png", seed=i) for i in range(2)]
    base = CountingBase()

    def prepare() -> torch.Tensor:
        pairs = [Pair(FilePicture(path), FilePicture(path), "same prompt") for path in paths]
        dataset = prepare_pairs(base, pairs, Preparation(64), Cache(tmp_path / "cache"))
        return dataset.batch([0, 1]).latents

    first = prepare()
    assert (base.images, base.prompts) == (2, 2)  # the prompt and the empty one
    assert torch.equal(prepare(), first)
    assert (base.images, base.prompts) == (2, 2)
    picture(paths[1], seed=9)
    assert not torch.equal(prepare()[1], first[1])
    assert (base.images, base.prompts) == (3, 2)
    base.fingerprint = "another"
    prepare()
    assert (base.images, base.prompts) == (5, 4)
    for damaged in (tmp_path / "cache").rglob("*.safetensors"):
        damaged.write_bytes(b"half")
    prepare()
    assert (base.images, base.prompts) == (7, 6)


def test_hints_are_made_by_a_preprocessor_once(tmp_path: Path) -> None:
    calls = []

    def invert(image: torch.Tensor) -> torch.Tensor:
        calls.append(image.shape)
        return 1 - image

    pairs = [Pair(FilePicture(picture(tmp_path / "a.png")), None, "")]
    cache = Cache(tmp_path / "cache")
    preparation = Preparation(64, hint_maker=HintMaker("invert", invert))
    prepare_pairs(ToyBase(), pairs, preparation, cache)
    dataset = prepare_pairs(ToyBase(), pairs, preparation, cache)
    target = to_tensor(pairs[0].target.open()).float() / 255
    torch.testing.assert_close(dataset.batch([0]).hints[0], 1 - target)
    assert calls == [(1, 64, 64, 3)]
    with pytest.raises(ValueError, match="Choose a preprocessor"):
        prepare_pairs(ToyBase(), pairs, Preparation(64), Cache())


def test_captions_of_kohya_and_in_utf16_are_read(tmp_path: Path) -> None:
    """`.caption` is what kohya-ss/sd-scripts writes and expects; Windows' editor saves UTF-16 with a mark."""
    for name in ("a", "b", "c", "d"):
        picture(tmp_path / f"{name}.png")
    (tmp_path / "a.caption").write_text("a red ball\n")
    (tmp_path / "b.txt").write_text("日本", encoding="utf-16")
    (tmp_path / "c.txt").write_text("\ufeffcafé", encoding="utf-8")
    assert [pair.prompt for pair in read_folder(tmp_path).pairs] == ["a red ball", "日本", "café", ""]


def test_a_caption_in_another_encoding_costs_its_pair_and_is_named(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.txt").write_text("a picture")
    (tmp_path / "1.txt").write_bytes("Müller".encode("latin-1"))
    listing = read_folder(tmp_path)
    assert [pair.target.name for pair in listing.pairs] == ["0.png", "2.png"]
    assert len(listing.problems) == 1
    assert all(word in listing.problems[0] for word in ("1.png", "1.txt", "UTF-8"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"file_name": "a.png", "text": "Müller"}'.encode("latin-1"), "UTF-8"),
        (b"[" * 200_000, "not JSON"),
        (b'{"file_name": "' + b"x" * 5000 + b'", "text": "x"}', "cannot be opened"),
        (b'{"file_name": "a.png", "text": {"en": "x"}}', "not text"),
        (b'{"file_name": "a.png\\u0000", "text": "x"}', "line 2"),
        (b'"a.png"', "not an entry"),
        (b'{"text": "x"}', "names no picture"),
        (b'{"file_name": "a.png", "text": "' + b"x" * 2_000_000 + b'"}', "longer than"),
    ],
)
def test_a_bad_line_of_metadata_costs_one_pair_and_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    picture(tmp_path / "a.png")
    good = b'{"file_name": "a.png", "text": "x"}'
    (tmp_path / "metadata.jsonl").write_bytes(b"\n".join([good, line, good]))
    listing = read_folder(tmp_path)
    assert len(listing.pairs) == 2
    assert listing.problems[0].startswith("metadata.jsonl line 2: ")
    assert message in listing.problems[0]
    assert all(len(problem) < 300 for problem in listing.problems)


@pytest.mark.parametrize("column", ["text", "prompt", "caption", "description"])
@pytest.mark.parametrize("value", ["a house", ["a house", "a home"]])
def test_prompts_are_found_under_the_names_that_datasets_use(tmp_path: Path, column: str, value: object) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "a.png", column: value}))
    assert read_folder(tmp_path).pairs[0].prompt == "a house"


def test_sub_folders_with_repeats(tmp_path: Path) -> None:
    """kohya-ss/sd-scripts: the pictures of `3_cat` are shown three times an epoch."""
    for name in ("3_cat/a", "dogs/b", "dogs/c"):
        picture(tmp_path / "images" / f"{name}.png")
        (tmp_path / "images" / f"{name}.txt").write_text(name)
    for name in ("3_cat/a", "b"):  # in the same sub-folder, or under the name alone
        picture(tmp_path / "conditioning_data" / f"{name}.png")
    listing = read_folder(tmp_path)
    assert [(pair.prompt, pair.repeats) for pair in listing.pairs] == [("3_cat/a", 3), ("dogs/b", 1)]
    assert listing.problems == ["dogs/c.png: no hint of this name in 'conditioning_data'"]
    dataset = prepare_pairs(ToyBase(), listing.pairs, Preparation(64), Cache())
    assert [pair.pair.prompt for pair in dataset.pairs] == ["3_cat/a"] * 3 + ["dogs/b"]


def test_the_summary_says_how_many_pairs_have_no_prompt(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        picture(tmp_path / f"{name}.png")
    (tmp_path / "a.txt").write_text("a cat")
    (tmp_path / "b.txt").write_text("  \n")
    assert "2 of them have no prompt" in source_of_folder(tmp_path, Preparation(64)).summary()


def test_a_cache_is_few_files_whatever_else_lies_in_its_folder(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for number in range(100):
        cache.get(f"{number}", lambda number=number: {"latents": torch.full((2,), number)})
    cache.flush()
    (shard,) = tmp_path.iterdir()
    shard.rename(tmp_path / "shard-renamed.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "shard-foreign.safetensors")
    again = Cache(tmp_path)
    assert all(torch.equal(again.get(f"{n}", dict)["latents"], torch.full((2,), n)) for n in range(100))


def test_half_precision_of_latents_and_prompts_changes_the_loss_less_than_256_levels_of_pictures_do(tmp_path) -> None:
    """Beside the rounding of a picture to 256 levels, which nobody notices: over several draws of noise."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(4, 3, 64, 64, generator=generator)
    base, half, levels = ToyBase(), [], []
    for seed in range(5):
        draws = draw(Objective(), seed, range(4), (4, 8, 8), len(base.schedule.alphas_cumprod))
        prompt = base.encode_prompts(["a", "b", "c", "d"], 64, 64)

        def loss(latents, prompt=prompt, draws=draws) -> float:
            x = base.schedule.add_noise(latents, draws.noise, draws.timesteps)
            prediction = base.predict(x, draws.timesteps, prompt, None)
            return denoising_loss(Objective(), base.schedule, prediction, latents, draws).item()

        exact = loss(base.encode_images(pictures))
        rounded = Prompt(halved(prompt.context).float())
        half.append(abs(loss(halved(base.encode_images(pictures)).float(), rounded) - exact) / exact)
        levels.append(abs(loss(base.encode_images((pictures * 255).round() / 255)) - exact) / exact)
    assert sum(half) < sum(levels) / 6


def test_what_half_precision_cannot_hold_stays_as_it_is() -> None:
    assert halved(torch.tensor([1e5, 1.0])).tolist() == [1e5, 1.0]
    assert halved(torch.tensor([2.0])).dtype == torch.float16

"""`zeroconv preprocess` on folders as people have them: odd pictures, wrong folders, nothing of theirs harmed."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from zeroconv.commands import main

RAMP = np.linspace(0, 1, 64 * 64).reshape(64, 64)


def run(source: Path, target: Path, *more: str, method: str = "invert") -> int:
    return main(["preprocess", method, "--input", str(source), "--output", str(target), *more])


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (40, 40)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8)).save(path)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(side: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


WHOLE = png_of(16, chunk(b"IDAT", zlib.compress((b"\0" + b"\x40" * 48) * 16)))

BROKEN = {
    "bomb.png": png_of(40000, chunk(b"IDAT", zlib.compress(b"\0" * 1000))),
    "no data.png": png_of(16),
    "cut.png": WHOLE[:50],
    "wrong checksum.png": WHOLE[:45] + b"\xff\xff" + WHOLE[47:],
    "empty.jpg": b"",
    "text.webp": b"no picture",
    "text chunk.png": png_of(16, chunk(b"iTXt", b"broken")),
    "tags.tif": b"II*\0\x08\0\0\0\x01\0\x00\x01\x04\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0",
    "header.bmp": b"BM" + b"\xff" * 60,
}


def test_a_broken_picture_costs_one_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever exception Pillow raises: its own, of zlib, of struct, a bomb."""
    good = [picture(tmp_path / "in" / name) for name in ("a.png", "m.png", "z.png")]
    for name, content in BROKEN.items():
        (tmp_path / "in" / name).write_bytes(content)
    (tmp_path / "in" / "nowhere.png").symlink_to(tmp_path / "missing.png")
    assert run(tmp_path / "in", tmp_path / "out") == 1
    assert sorted(contents(tmp_path / "out")) == [path.name for path in good]
    shown = capsys.readouterr()
    assert f"3 made, 0 there already, {len(BROKEN) + 1} failed" in shown.out
    assert all(name in shown.err for name in (*BROKEN, "nowhere.png"))
    assert "Traceback" not in shown.err


def test_a_method_that_fails_on_one_picture_does_the_others(tmp_path: Path, monkeypatch, capsys) -> None:
    """OpenCV's errors are neither OSError nor ValueError."""
    import cv2

    def fail_for_small(image, *thresholds):
        if len(image) < 40:
            raise cv2.error("too small")
        return np.zeros(image.shape[:2], np.uint8)

    picture(tmp_path / "in" / "a.png", size=(20, 20))
    picture(tmp_path / "in" / "b.png")
    monkeypatch.setattr(cv2, "Canny", fail_for_small)
    assert run(tmp_path / "in", tmp_path / "out", method="canny") == 1
    assert list(contents(tmp_path / "out")) == ["b.png"]
    assert "a.png" in capsys.readouterr().err


@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_the_folder_of_the_pictures_cannot_take_the_hints(tmp_path: Path, more, capsys) -> None:
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "in" / "deep" / "b.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    before = contents(tmp_path / "in")
    for target in (tmp_path / "in", tmp_path / "in" / "deep" / "..", tmp_path / "link"):
        assert run(tmp_path / "in", target, *more) == 2
        assert "--output" in capsys.readouterr().err
    assert contents(tmp_path / "in") == before


def test_hints_that_lie_among_the_pictures_are_no_pictures(tmp_path: Path, capsys) -> None:
    """A folder of hints within the folder of the pictures: a second run makes no hints of hints."""
    picture(tmp_path / "in" / "a.png")
    target = tmp_path / "in" / "hints"
    assert run(tmp_path / "in", target) == 0
    picture(tmp_path / "in" / "b.png")
    assert run(tmp_path / "in", target) == 0
    assert sorted(contents(target)) == ["a.png", "b.png"]
    assert "1 made, 1 there already" in capsys.readouterr().out


def test_no_picture_to_make_a_hint_of_is_a_mistake(tmp_path: Path, capsys) -> None:
    single = picture(tmp_path / "in" / "a.png")
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.txt").write_text("a caption")
    for source, word in ((tmp_path / "typo", "typo"), (single, "a.png"), (tmp_path / "none", "none")):
        assert run(source, tmp_path / "out") == 2
        assert word in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_files_that_are_left_alone_are_counted(tmp_path: Path, capsys) -> None:
    picture(tmp_path / "in" / "a.png")
    for name in ("a.txt", "b.heic", "c.heic"):
        (tmp_path / "in" / name).write_bytes(b"x")
    assert run(tmp_path / "in", tmp_path / "out") == 0
    assert "3 other files left alone (.heic, .txt)" in capsys.readouterr().out


def test_every_picture_has_a_hint_of_its_own(tmp_path: Path) -> None:
    """Also where the name of one picture is that of another's hint, or differs from it in case only."""
    for seed, name in enumerate(("a.jpg", "a.png", "a.jpg.png", "B.png", "b.jpg")):
        picture(tmp_path / "in" / name, seed)
    assert run(tmp_path / "in", tmp_path / "out") == 0
    made = contents(tmp_path / "out")
    assert len({name.lower() for name in made}) == len(set(made.values())) == 5


def test_a_method_that_needs_a_mask_is_refused_at_once(tmp_path: Path, capsys) -> None:
    picture(tmp_path / "in" / "a.png")
    assert run(tmp_path / "in", tmp_path / "out", method="inpaint") == 2
    assert "mask" in capsys.readouterr().err


def test_a_hint_that_cannot_be_written_leaves_no_part_file(tmp_path: Path, capsys) -> None:
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "out" / "a.png").mkdir(parents=True)
    assert run(tmp_path / "in", tmp_path / "out", "--overwrite") == 1
    assert contents(tmp_path / "out") == {}
    assert "a.png" in capsys.readouterr().err


def rgb(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("16 bits.png", (RAMP * 65535).round().astype(np.uint16)),
        ("16 bits.tif", (RAMP * 65535).round().astype(np.uint16)),
        ("big endian.tif", (RAMP * 65535).round().astype(">u2")),
        ("32 bits.tif", (RAMP * 65535).round().astype(np.int32)),
        ("float.tif", RAMP.astype(np.float32)),
        ("float of bytes.tif", (RAMP * 255).astype(np.float32)),
    ],
)
def test_grey_of_more_than_8_bits_is_a_ramp_from_black_to_white(tmp_path: Path, name: str, content) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(content).save(tmp_path / "in" / name)
    assert run(tmp_path / "in", tmp_path / "out") == 0
    (hint,) = (tmp_path / "out").iterdir()
    np.testing.assert_allclose(rgb(hint), 255 - (RAMP * 255)[..., None].repeat(3, 2), atol=0.6)


def test_a_float_picture_that_is_no_picture_is_refused_in_words(tmp_path: Path, capsys) -> None:
    (tmp_path / "in").mkdir()
    for name, content in (("metres.tif", RAMP * 4000), ("below.tif", RAMP - 2), ("nan.tif", RAMP * np.nan)):
        Image.fromarray(content.astype(np.float32)).save(tmp_path / "in" / name)
    assert run(tmp_path / "in", tmp_path / "out") == 1
    shown = capsys.readouterr().err
    assert all(name in shown for name in ("metres.tif", "below.tif", "nan.tif"))
    assert "0..1" in shown


def test_palettes_alpha_rotation_and_print_colors_are_read_as_seen(tmp_path: Path) -> None:
    """Each picture is red, or white where transparent; a photograph lies as the camera was held."""
    (tmp_path / "in").mkdir()
    red = Image.new("RGB", (32, 16), (255, 0, 0))
    half = Image.new("RGBA", (32, 16), (255, 0, 0, 255))
    half.paste((0, 0, 0, 0), (16, 0, 32, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    red.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "in" / "palette.png")
    half.save(tmp_path / "in" / "alpha.png")
    half.quantize(4).save(tmp_path / "in" / "alpha palette.png")
    Image.merge("CMYK", [Image.new("L", (32, 16), v) for v in (0, 255, 255, 0)]).save(tmp_path / "in" / "cmyk.tif")
    red.save(tmp_path / "in" / "turned.png", exif=exif)
    red.convert("1").save(tmp_path / "in" / "bit.png")
    assert run(tmp_path / "in", tmp_path / "out") == 0
    cyan, black = [0, 255, 255], [0, 0, 0]
    for name in ("palette", "cmyk", "turned"):
        assert rgb(tmp_path / "out" / f"{name}.png").reshape(-1, 3).tolist() == [cyan] * 512, name
    for name in ("alpha", "alpha palette"):
        hint = rgb(tmp_path / "out" / f"{name}.png")
        assert hint[8, 4].tolist() == cyan, name
        assert hint[8, 28].tolist() == black, name
    assert rgb(tmp_path / "out" / "turned.png").shape == (32, 16, 3)


def test_a_large_picture_that_is_to_be_shrunk_is_taken(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (9000, 700), (255, 0, 0)).save(tmp_path / "in" / "panorama.png")
    assert run(tmp_path / "in", tmp_path / "out", "--resolution", "64") == 0
    assert rgb(tmp_path / "out" / "panorama.png").shape == (64, 823, 3)

"""Stand-ins beside the nodes of comfyui_controlnet_aux themselves; AUX_DIR names its folder."""

import os

import numpy as np
import pytest
import torch
from support.comfy_host import import_host
from support.other_packs import load_pack

import_host()

from zeroconv.benchmarks.models.official_weights import random_state_dict
from zeroconv.nodes.stand_ins import STAND_INS
from zeroconv.nodes.stand_ins.node import node_of
from zeroconv.preprocessors.weights.catalogue import weights_of

ROWS = {row.id: row for row in STAND_INS if row.pack == "comfyui_controlnet_aux"}
LEVEL = 1 / 255


NETWORKS = (
    "hed",
    "pidinet",
    "teed",
    "mteed_anyline",
    "mlsd_large",
    "lineart",
    "lineart_coarse",
    "lineart_anime",
    "manga_line",
)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A folder as the pack keeps its weights in, with random ones: it and ours read the same files."""
    folder = tmp_path_factory.mktemp("ckpts")
    for name in NETWORKS:
        row = weights_of(name)
        file = folder / row.repo / row.path
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(as_published(name), file)
    before = os.environ.get("AUX_ANNOTATOR_CKPTS_PATH")
    os.environ["AUX_ANNOTATOR_CKPTS_PATH"] = str(folder)
    yield folder
    os.environ.pop("AUX_ANNOTATOR_CKPTS_PATH")
    if before is not None:
        os.environ["AUX_ANNOTATOR_CKPTS_PATH"] = before


SAME = {"mteed_anyline": "teed", "lineart_coarse": "lineart"}
"""Networks of one form."""


def as_published(name):
    """Random weights with some contrast in the answer, wrapped as the official file is."""
    weights = random_state_dict(SAME.get(name, name))
    if name == "pidinet":
        weights["classifier.weight"] *= 10
        return {"state_dict": {f"module.{key}": value for key, value in weights.items()}}
    if name == "hed":
        for block in range(1, 6):
            weights[f"block{block}.projection.weight"] *= 0.2
            weights[f"block{block}.projection.bias"] += 3.3
    return weights


@pytest.fixture(scope="module")
def theirs(checkpoints):
    return load_pack("AUX_DIR", "controlnet_aux_beside").NODE_CLASS_MAPPINGS


def photograph(height, width, count=1):
    from skimage import data

    cuts = [data.astronaut()[20 * i : 20 * i + height, 100 + 30 * i : 100 + 30 * i + width] for i in range(count)]
    return torch.from_numpy(np.stack(cuts)).float() / 255


PICTURES = {
    "square": lambda: photograph(128, 128),
    "odd": lambda: photograph(101, 157, 2),
    "large": lambda: photograph(320, 257),
}


def run_theirs(nodes, name, values):
    node = nodes[name]
    result = getattr(node(), node.FUNCTION)(**values)
    return result["result"] if isinstance(result, dict) else result


def run_ours(name, values):
    return node_of(ROWS[name]).execute(**values).args


def test_the_inputs_are_theirs(theirs):
    """Names, order, types, defaults, limits and choices of every row, as the pack has them today."""
    for name, row in ROWS.items():
        if name not in theirs:
            continue
        declared = theirs[name].INPUT_TYPES()
        groups = {**declared.get("required", {}), **declared.get("optional", {})}
        assert [item.id for item in row.inputs] == list(groups), name
        assert [item.optional for item in row.inputs] == [n in declared.get("optional", {}) for n in groups], name
        for item in row.inputs:
            kind, *rest = groups[item.id]
            options = rest[0] if rest else {}
            if isinstance(kind, list):
                assert item.type == "COMBO", (name, item.id)
                if item.id != "preprocessor":
                    assert list(item.choices) == kind, (name, item.id)
                assert item.default == options.get("default", kind[0]), (name, item.id)
                continue
            assert item.type == kind, (name, item.id)
            for key, ours in (("default", item.default), ("min", item.minimum), ("max", item.maximum)):
                assert options.get(key, ours) == ours, (name, item.id, key)
        assert [kind for kind, _ in row.outputs] == [
            "COMBO" if isinstance(kind, list) else kind for kind in theirs[name].RETURN_TYPES
        ], name
        names = getattr(theirs[name], "RETURN_NAMES", None)
        if names:
            assert [label for _, label in row.outputs] == list(names), name


EXACT = {"share": 0.0, "by": 1e-6}
ROUNDED = {"share": 0.0, "by": 1.01 * LEVEL}
FEW = {"share": 0.02, "by": 1.01 * LEVEL}
"""Values that are further apart may be so many; the others are within `by`."""

PLAIN = {
    "CannyEdgePreprocessor": ({"low_threshold": 60, "high_threshold": 150}, EXACT),
    "PyraCannyPreprocessor": ({}, ROUNDED),
    "BinaryPreprocessor": ({"bin_threshold": 120}, EXACT),
    "ScribblePreprocessor": ({}, EXACT),
    "Scribble_XDoG_Preprocessor": ({"threshold": 20}, FEW),
    "ColorPreprocessor": ({}, ROUNDED),
    "LineartStandardPreprocessor": ({}, FEW),
    "ImageLuminanceDetector": ({"gamma_correction": 0.8}, {"share": 0.0, "by": 3 * LEVEL}),
    "ImageIntensityDetector": ({"gamma_correction": 1.3}, {"share": 0.0, "by": 3 * LEVEL}),
    "TilePreprocessor": ({"pyrUp_iters": 3}, ROUNDED),
    "TTPlanet_TileSimple_Preprocessor": ({"scale_factor": 2.0, "blur_strength": 3.0}, ROUNDED),
    "TTPlanet_TileGF_Preprocessor": (
        {"scale_factor": 1.0, "blur_strength": 2.0, "radius": 7, "eps": 0.01},
        {"share": 0.02, "by": 12 * LEVEL},
    ),
}


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("name", PLAIN)
def test_methods_without_weights(theirs, name, picture):
    settings, bound = PLAIN[name]
    image = PICTURES[picture]()
    known = {item.id for item in ROWS[name].inputs}
    values = {"image": image, "resolution": 128, **settings}
    values = {key: value for key, value in values.items() if key in known}
    # The pack cuts floats off to bytes; a little more, and its bytes are those of the picture.
    (expected,) = run_theirs(theirs, name, {**values, "image": (image + 0.2 * LEVEL).clamp(max=1)})
    (given,) = run_ours(name, values)
    assert given.shape == expected.shape
    apart = (given - expected).abs()
    assert (apart > bound["by"]).float().mean() <= bound["share"], (float(apart.max()), float(apart.mean()))


WITH_WEIGHTS = {
    "HEDPreprocessor": {"safe": "enable"},
    "FakeScribblePreprocessor": {"safe": "disable"},
    "PiDiNetPreprocessor": {"safe": "enable"},
    "TEEDPreprocessor": {"safe_steps": 2},
    "M-LSDPreprocessor": {"score_threshold": 0.1, "dist_threshold": 0.1},
    "LineArtPreprocessor": {"coarse": "enable"},
    "AnimeLineArtPreprocessor": {},
    "Manga2Anime_LineArt_Preprocessor": {},
    "AnyLineArtPreprocessor_aux": {"merge_with_lineart": "lineart_standard"},
}


@pytest.mark.parametrize("picture", ["square", "odd"])
@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_methods_with_weights(theirs, name, picture):
    image = PICTURES[picture]()
    values = {"image": image, "resolution": 128, **WITH_WEIGHTS[name]}
    (expected,) = run_theirs(theirs, name, {**values, "image": (image + 0.2 * LEVEL).clamp(max=1)})
    (given,) = run_ours(name, values)
    assert given.shape == expected.shape
    assert float(expected.std()) > 0.002, "the picture says too little for a comparison"
    apart = (given - expected).abs()
    assert (apart > 1.6 * LEVEL).float().mean() <= 0.01, (float(apart.max()), float(apart.mean()))


def test_shuffle(theirs):
    image = photograph(128, 192)
    values = {"image": image, "resolution": 128, "seed": 7}
    (expected,) = run_theirs(theirs, "ShufflePreprocessor", {**values, "image": (image + 0.2 * LEVEL).clamp(max=1)})
    (given,) = run_ours("ShufflePreprocessor", values)
    assert (given - expected).abs().max() <= 1.6 * LEVEL


@pytest.mark.parametrize("black", [False, True])
def test_inpaint(theirs, black):
    image = photograph(101, 157, 2)
    mask = (torch.rand(1, 50, 80, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    values = {"image": image, "mask": mask, "black_pixel_for_xinsir_cn": black}
    theirs_too = {**values, "mask": mask.expand(2, -1, -1)}
    torch.testing.assert_close(
        run_ours("InpaintPreprocessor", values), run_theirs(theirs, "InpaintPreprocessor", theirs_too)
    )


@pytest.mark.parametrize("mode", ["Just Resize", "Crop and Resize", "Resize and Fill"])
def test_sizes(theirs, mode):
    image = photograph(101, 157)
    target = {"image_gen_width": 256, "image_gen_height": 320, "resize_mode": mode}
    values = {"original_image": image, **target}
    assert run_ours("PixelPerfectResolution", values) == tuple(run_theirs(theirs, "PixelPerfectResolution", values))
    (ours,), (expected,) = (
        run_ours("HintImageEnchance", {"hint_image": image, **target}),
        run_theirs(theirs, "HintImageEnchance", {"hint_image": (image + 0.2 * LEVEL).clamp(max=1), **target}),
    )
    assert ours.shape == expected.shape == (1, 320, 256, 3)
    assert (ours - expected).abs().mean() < 0.02


def test_sizes_of_images_and_latents(theirs):
    image, latent = {"image": photograph(101, 157)}, {"latent": {"samples": torch.zeros(1, 4, 10, 12)}}
    for name, values in (("ImageGenResolutionFromImage", image), ("ImageGenResolutionFromLatent", latent)):
        assert run_ours(name, values) == tuple(run_theirs(theirs, name, values))


def test_a_preprocessor_by_name(theirs):
    for name in ("CannyEdgePreprocessor", "ScribblePreprocessor", "BinaryPreprocessor", "none"):
        image = photograph(101, 157)
        values = {"preprocessor": name, "resolution": 128}
        (expected,) = run_theirs(theirs, "AIO_Preprocessor", {**values, "image": (image + 0.2 * LEVEL).clamp(max=1)})
        (given,) = run_ours("AIO_Preprocessor", {**values, "image": image})
        assert (given - expected).abs().max() <= 0.5 * LEVEL

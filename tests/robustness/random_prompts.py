"""Prompts by chance, right and wrong ones, of the nodes that need no weights but those of the tests."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from support.checkpoints import SD15_SMALL, cached
from support.random_nodes import random_image, random_prompts
from zeroconv.comfy_client.workflow import Control, ControlNet, Image, Output, Sampling, Workflow

METHODS = ("invert", "canny", "threshold", "shuffle", "tile_blur", "scribble", "color_grid", "recolor_intensity")
LONG = 400
"""Steps of a run that is cancelled."""
NAMES = ("a", "b", "c")


@dataclass(frozen=True)
class Prompt:
    """right: it must run to its end. cancelled: it takes long, and is to be cancelled."""

    kind: str
    workflow: Workflow
    right: bool = True
    cancelled: bool = False


def put_models(models: Path) -> None:
    """The files that the prompts name, below ComfyUI's `models`."""
    files = {"diffusion_models/sd15": cached("sd15-unet", "unet", SD15_SMALL, 10)}
    for number in (1, 2):
        file = cached(f"sd15-control{number}", "controlnet", SD15_SMALL, 20 + number)
        files[f"controlnet/sd15-{number}"] = file
    for name, file in files.items():
        if not (models / f"{name}.safetensors").exists():
            (models / f"{name}.safetensors").symlink_to(file)
    (models / "controlnet" / "page.safetensors").write_text("<!DOCTYPE html>", encoding="utf-8")
    (models / "controlnet" / "cut.safetensors").write_bytes(files["controlnet/sd15-1"].read_bytes()[:5000])


def control(rng: random.Random, flow: Workflow) -> ControlNet:
    """A control with settings by chance."""
    net = flow.load_control(f"sd15-{rng.randint(1, 2)}.safetensors")

    def setting(node: str, **widgets: object) -> None:
        nonlocal net
        if rng.random() < 0.3:
            net = ControlNet(flow.add(node, control_net=net, **widgets), 0)

    setting("ZeroConvFewerRuns", method="every n-th step", every_n_steps=rng.randint(1, 4), tolerance=0.2)
    setting("ZeroConvControlMode", mode=rng.choice(("cond only", "balanced")), soft_weights="A1111")
    setting("ZeroConvCfgWeights", positive=rng.random(), negative=rng.random())
    setting("ZeroConvRangeCounting", counting=rng.choice(("steps", "timesteps")))
    setting("ZeroConvFitHint", fit="fit inside", resampling="edges", hint_order="one each")
    return net


def sample(rng: random.Random, steps: int = 0) -> Workflow:
    """One or two controls, shaped by chance."""
    flow = Workflow()
    width, height = rng.choice((64, 72, 96, 128)), rng.choice((64, 80, 104))
    prompts, model = random_prompts(flow, 768, seed=rng.randrange(99)), flow.load_model("sd15.safetensors")
    for _ in range(rng.randint(1, 2)):
        image = random_image(flow, rng.choice((64, 200)), rng.choice((64, 150)), seed=rng.randrange(99))
        schedule = flow.add("ZeroConvSchedule", keyframes=f"0: {rng.random():.2f}, 1: 1", counting="timesteps")
        weights = flow.add("ZeroConvSoftWeights", base=rng.random(), kind="whole depth")
        factors = {"schedule": Output(schedule, 0), "block_weights": Output(weights, 0)}
        some = {name: value for name, value in factors.items() if rng.random() < 0.3}
        shown = Control(round(rng.random(), 2), 0.0, rng.choice((0.5, 1.0)))
        prompts = flow.apply(prompts, control(rng, flow), image, shown, **some)
    latent = flow.empty_latent(width, height, rng.randint(1, 2))
    sampling = Sampling(rng.randrange(999), steps or rng.randint(1, 4), rng.choice((1.0, 5.0)))
    flow.save_latent(flow.sample(model, prompts, latent, sampling))
    return flow


def preprocess(rng: random.Random) -> Workflow:
    flow = Workflow()
    image = random_image(flow, rng.randrange(16, 300), rng.randrange(16, 300), rng.randint(1, 3), rng.randrange(99))
    widgets = {"resolution": rng.choice((0, 64, 512)), "result_size": rng.choice(("processing", "input"))}
    method, compare = rng.choice(METHODS), rng.random() < 0.1
    flow.add("ZeroConvPreprocess", image=image, method=method, compare=compare, settings="", **widgets)
    return flow


def sketch(rng: random.Random) -> Workflow:
    flow = Workflow()
    points = [round(rng.uniform(0, 256), 1) for _ in range(2 * rng.randint(2, 30))]
    strokes = [{"tool": "pen", "color": "#ffffff", "size": rng.randint(1, 60), "points": points}]
    drawing = json.dumps({"version": 1, "width": 256, "height": 256, "strokes": strokes})
    flow.save_image(Image(flow.add("ZeroConvSketch", drawing=drawing), 0))
    return flow


def pose(rng: random.Random) -> Workflow:
    flow = Workflow()
    points = [value for _ in range(18) for value in (rng.uniform(0, 200), rng.uniform(0, 200), 1)]
    poses = json.dumps({"canvas_width": 200, "canvas_height": 200, "people": [{"pose_keypoints_2d": points}]})
    flow.save_image(Image(flow.add("ZeroConvPose", poses=poses, thick_limbs=rng.random() < 0.5), 0))
    return flow


def inspect(rng: random.Random) -> Workflow:
    flow = Workflow()
    node = flow.add("ZeroConvInspect", control_net=f"sd15-{rng.randint(1, 2)}.safetensors")
    flow.add("PreviewAny", source=Output(node, 0))
    return flow


def damaged(rng: random.Random) -> Workflow:
    flow = Workflow()
    node = flow.add(rng.choice(("ZeroConvInspect", "ZeroConvLoad")), control_net=rng.choice(("page", "cut")) + SUFFIX)
    flow.add("PreviewAny", source=Output(node, 0))
    return flow


def wrong_value(rng: random.Random) -> Workflow:
    flow = Workflow()
    image = random_image(flow, 64, 64)
    wrong = rng.choice(
        [
            ("ZeroConvPreprocess", {"image": image, "resolution": 0, "method": "none", "result_size": "input"}),
            ("ZeroConvPreprocess", {"image": image, "resolution": 0, "method": "canny", "result_size": "none"}),
            (
                "ZeroConvSchedule",
                {"keyframes": rng.choice(("x", "0: nan", "9: 1", "\udcff")), "counting": "steps"},
            ),
            ("ZeroConvSketch", {"drawing": rng.choice(("[", "{}", "[" * 9000, '{"version": 9}'))}),
            ("ZeroConvPose", {"poses": rng.choice(("[", '{"people": 5}', "9" * 9000)), "thick_limbs": False}),
            ("ZeroConvBlockWeights", {"weights": rng.choice(("x", "-1: 2", "0: inf"))}),
        ]
    )
    more = {"compare": False, "settings": ""} if wrong[0] == "ZeroConvPreprocess" else {}
    flow.add("PreviewAny", source=Output(flow.add(wrong[0], **wrong[1], **more), 0))
    return flow


SUFFIX = ".safetensors"
KINDS: dict[str, tuple[int, Callable[[random.Random], Workflow]]] = {
    "sampling": (4, sample),
    "preprocessor": (4, preprocess),
    "sketch": (2, sketch),
    "pose": (2, pose),
    "inspect": (2, inspect),
    "damaged file": (1, damaged),
    "wrong value": (2, wrong_value),
    "cancelled": (2, lambda rng: sample(rng, LONG)),
}
"""Kind, how often beside the others, and what makes it."""


def draw(rng: random.Random) -> Prompt:
    """The next prompt."""
    (kind,) = rng.choices(list(KINDS), [share for share, _ in KINDS.values()])
    return Prompt(kind, KINDS[kind][1](rng), kind not in ("damaged file", "wrong value"), kind == "cancelled")

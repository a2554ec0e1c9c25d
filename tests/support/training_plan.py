"""A plan of `zeroconv train` for a small SD1.5 checkpoint, with its pairs."""

from pathlib import Path

import numpy as np
from PIL import Image
from zeroconv.comfy_client.server import comfyui_directory

from support.checkpoints import SD15_SMALL, cached

STEPS = 2


def write_plan(
    folder: Path, extra: str = "", save_every: int = 0, pairs_count: int = 2, steps: int = STEPS, batch: int = 1
) -> Path:
    """A plan for pairs of 64 pixels, all but one without a prompt."""
    pairs = folder / "pairs"
    generator = np.random.default_rng(0)
    for kind in ("images", "conditioning_data"):
        (pairs / kind).mkdir(parents=True, exist_ok=True)
        for number in range(pairs_count):
            pixels = generator.integers(0, 255, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(pairs / kind / f"{number}.png")
    (pairs / "images" / "0.txt").write_text("a picture")
    plan = folder / "run.toml"
    plan.write_text(
        f"""comfyui = "{comfyui_directory().as_posix()}"
checkpoint = "{cached("sd15-checkpoint", "checkpoint", SD15_SMALL, 30).as_posix()}"
dataset = "pairs"
name = "new"
output = "out"
{extra}
[settings]
steps = {steps}
batch = {batch}
save_every = {save_every}
sample_every = 0
[pairs]
resolution = 64
[sampling]
steps = 1
"""
    )
    return plan

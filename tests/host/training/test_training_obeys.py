"""Through the node, in the real server, the small model learns to obey its hints, and forgets nothing of itself.

From a new copy of the base model that takes some hundred steps: `FROM_NEW=1` runs them. Otherwise the copy is that of
the shipped ControlNet and only its zero convolutions are zero again, so that a few steps show the same: from no effect
at all, to the bit, to obedience.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from safetensors.torch import load_file, save_file
from support.checkpoints import ZERO_CONVOLUTIONS
from zeroconv.comfy_client.server import ComfyServer
from zeroconv.comfy_client.workflow import Checkpoint, ControlNet, Output, Prompts, Sampling, Workflow
from zeroconv.demo.checkpoint import CHECKPOINT_NAME, control_name, write_models
from zeroconv.demo.learning.control import ControlOptions, control_scenes
from zeroconv.demo.learning.evaluate import held_out_scenes, save_picture
from zeroconv.demo.pictures import write_pairs
from zeroconv.demo.scenes.hints import edges
from zeroconv.demo.scenes.hints import object_mask as true_mask
from zeroconv.demo.scenes.measures import agreement, object_mask
from zeroconv.demo.scenes.render import render
from zeroconv.demo.scenes.world import Scenes, captions

FOLDER, ZEROED, TRAINED, TESTS = "small-world", "zeroed.safetensors", "learned", 2
if os.environ.get("FROM_NEW") == "1":
    START, SIDE, STEPS, BATCH, PAIRS = "none: a new one", 64, 300, 8, 640
else:
    START, SIDE, STEPS, BATCH, PAIRS = ZEROED, 64, 20, 4, 24
SAMPLING = Sampling(steps=8, cfg=3.0)
pytestmark = pytest.mark.timeout(3600)


def write_zeroed(models: Path) -> None:
    """The shipped ControlNet for edges without effect: its zero convolutions are zero again."""
    weights = load_file(models / "controlnet" / control_name("canny"))
    save_file(
        {key: value * 0 if key.startswith(ZERO_CONVOLUTIONS) else value for key, value in weights.items()},
        models / "controlnet" / ZEROED,
    )


def train(flow: Workflow, checkpoint: Checkpoint) -> ControlNet:
    pairs = flow.add("ZeroConvTrainingFolder", folder=FOLDER, resolution=SIDE, flip=False, hints="of the dataset")
    finer = {"ema_decay": 0.0, "weight_decay": 0.01, "max_grad_norm": 1.0, "only_middle": False, "hint_dropout": 0.0}
    options = flow.add(
        "ZeroConvTrainingOptions", **finer, warmup=5, noise_offset=0.0, weighting="velocity", snr_gamma=10.0
    )
    node = flow.add(
        "ZeroConvTrain",
        model=checkpoint.model,
        clip=checkpoint.clip,
        vae=checkpoint.vae,
        dataset=Output(pairs, 0),
        options=Output(options, 0),
        name=TRAINED,
        start=START,
        steps=STEPS,
        batch=BATCH,
        gradient_accumulation_steps=1,
        learning_rate=3e-4,
        precision="bfloat16",
        gradient_checkpointing=False,
        optimizer="adamw",
        prompt_dropout=0.3,
        save_every=0,
        sample_every=0,
        seed=0,
        resume=False,
        license="",
    )
    return ControlNet(node, 0)


def samples(
    flow: Workflow, checkpoint: Checkpoint, scenes: Scenes, network: ControlNet | None, count: int = TESTS
) -> list[str]:
    """Nodes that save a sample of the first scenes' captions, with their edges as the hint."""
    empty, latent = flow.encode_prompt(checkpoint.clip, ""), flow.empty_latent(SIDE, SIDE)
    saved = []
    for number, caption in enumerate(captions(scenes)[:count]):
        prompts = Prompts(flow.encode_prompt(checkpoint.clip, caption), empty)
        if network is not None:
            prompts = flow.apply(prompts, network, flow.load_image(f"edges-{number}.png"))
        sampled = flow.sample(checkpoint.model, prompts, latent, SAMPLING)
        saved.append(flow.save_image(flow.decode(checkpoint.vae, sampled)))
    return saved


def read(files: list[Path]) -> torch.Tensor:
    images = [torch.from_numpy(np.array(Picture.open(file).convert("RGB"))) for file in files]
    return torch.stack(images).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def pictures(server: ComfyServer) -> dict[str, torch.Tensor]:
    """Samples of held-out scenes, (N, 3, S, S): "without" control, "trained"; of the first, "zero" convolutions."""
    models, inputs = server.base / "models", server.base / "input"
    write_models(models)
    write_zeroed(models)
    scenes = control_scenes(ControlOptions("canny", scenes=PAIRS, pair_share=0.0))
    write_pairs(inputs / FOLDER, scenes, SIDE)
    tests = held_out_scenes(TESTS)
    for number, hint in enumerate(edges(render(tests, SIDE))):
        save_picture(hint, inputs / f"edges-{number}.png")
    flow = Workflow()
    checkpoint = flow.load_checkpoint(CHECKPOINT_NAME)
    networks = {"without": None, "zero": flow.load_control(ZEROED), "trained": train(flow, checkpoint)}
    saved = {
        name: samples(flow, checkpoint, tests, network, 1 if name == "zero" else TESTS)
        for name, network in networks.items()
    }
    result = server.queue(flow.to_api(), timeout=3600)
    return {name: read([result.files(node)[0] for node in nodes]) for name, nodes in saved.items()}


def adherence(image: torch.Tensor) -> float:
    """Mean intersection over union of the object seen and the object that the hint outlines."""
    return agreement(object_mask(image), true_mask(render(held_out_scenes(TESTS), SIDE))).mean().item()


def test_zero_convolutions_change_nothing(pictures: dict[str, torch.Tensor]) -> None:
    assert torch.equal(pictures["zero"], pictures["without"][:1])


def test_a_short_training_makes_it_obey(pictures: dict[str, torch.Tensor]) -> None:
    before, after = adherence(pictures["without"]), adherence(pictures["trained"])
    assert before <= 0.35
    assert after >= 0.5, f"{before:.2f} before, {after:.2f} after {STEPS} steps"

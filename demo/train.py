"""Trains the demonstration model: `python -m zeroconv.demo.train STAGE`, resumable at any moment.

Stages: `decoder` of the autoencoder, `small` and `base` for the base model, `export` to `demo/weights`, then one for
each ControlNet. The state is kept in `.cache/demo`; a finished stage is skipped, an interrupted one goes on.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ..training.objective import Objective, denoising_loss, draw
from .checkpoint import BASE_NAME, DECODER_NAME, WEIGHTS, control_weights
from .learning.control import CONTINUED, ControlOptions, control_trainer
from .learning.fit import Fit, load_averaged
from .learning.latents import Latents, Source, training_latents
from .model.autoencoder import build_decoder, decoder_loss
from .model.narrow_model import TIMESTEPS, load_model, noise_schedule
from .model.pack import pack, unpack
from .model.unet import BaseModel
from .scenes.hints import HINTS
from .scenes.render import render
from .scenes.world import draw_scenes

STATE = Path(__file__).resolve().parent.parent / ".cache" / "demo"
PICTURE_SEED = 1_000_000
OBJECTIVE = Objective(prompt_dropout=0.12, weighting="velocity", snr_gamma=10.0)
"""As the velocity counts: without it the noisy steps, where layout and color are decided, hardly count."""


@dataclass(frozen=True)
class Options:
    """Where the state is and how long to train."""

    state: Path = STATE
    decoder_steps: int = 1500
    small_steps: int = 8_000
    base_steps: int = 14_000
    control_steps: int = 4_000
    batch: int = 16
    chunks: int = 12
    pair_share: float = 0.2


def training_pictures(folder: Path, count: int = 3072) -> torch.Tensor:
    """Rendered scenes (count, 3, 128, 128) uint8 for the autoencoder, made once."""
    path = folder / "pictures.pt"
    if not path.exists():
        scenes = draw_scenes(count, PICTURE_SEED)
        parts = [render(scenes[at : at + 16]).image for at in range(0, count, 16)]
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(torch.cat(parts).mul(255).round().byte(), path)
    return torch.load(path, weights_only=True, mmap=True)


def decoder_stage(options: Options, batch: int = 12) -> Fit:
    """Train the decoder on rendered pictures; the encoder is constructed."""
    pictures = training_pictures(options.state)
    torch.manual_seed(0)
    decoder = build_decoder()
    decoder.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def loss(step: int) -> torch.Tensor:
        image = pictures[torch.randint(len(pictures), (batch,))].float().div(255)
        with torch.autocast("cpu", torch.bfloat16):
            return decoder_loss(decoder, image.contiguous(memory_format=torch.channels_last))

    return Fit(decoder, options.state / "decoder.pt", options.decoder_steps, 1.5e-3, loss, decay=0.99)


def small_stage(options: Options) -> Fit:
    """Train the base model on pictures of half the side: what words mean is learned there at a quarter of the cost."""
    data = training_latents(options.state, Source(64, options.chunks, options.pair_share))
    return _base_fit(data, options, options.state / "small.pt", options.small_steps)


def base_stage(options: Options) -> Fit:
    """Train the base model at full size, beginning with the averaged weights of the small stage."""
    data = training_latents(options.state, Source(128, options.chunks, options.pair_share))
    return _base_fit(data, options, options.state / "base.pt", options.base_steps, options.state / "small.pt")


def _base_fit(data: Latents, options: Options, path: Path, steps: int, start: Path | None = None) -> Fit:
    torch.manual_seed(0)
    model = BaseModel()
    if start is not None and start.exists():
        model.load_state_dict(load_averaged(start))

    schedule = noise_schedule()

    def loss(step: int) -> torch.Tensor:
        chosen = torch.randint(len(data.latent), (options.batch,))
        latent = data.latent[chosen].float()
        numbers = range(step * options.batch, (step + 1) * options.batch)
        draws = draw(OBJECTIVE, 0, numbers, latent.shape[1:], TIMESTEPS)
        caption = data.caption[chosen].masked_fill(draws.empty, 0)
        noisy = schedule.add_noise(latent, draws.noise, draws.timesteps)
        with torch.autocast("cpu", torch.bfloat16):
            rows = data.table.index[caption]
            projected = [(keys[rows], values[rows]) for keys, values in model.project_context(data.table.rows)]
            prediction = model(noisy, draws.timesteps, projected)
        return denoising_loss(OBJECTIVE, schedule, prediction, latent, draws)

    return Fit(model, path, steps, 1e-3, loss, warmup=30)


def control_stage(kind: str, options: Options) -> None:
    """Train the ControlNet of a kind of hint on the base model as it has been exported, and export it too."""
    model = load_model(WEIGHTS / BASE_NAME, WEIGHTS / DECODER_NAME)
    start = unpack(load_file(control_weights(CONTINUED[kind]))) if kind in CONTINUED else None
    controlled = ControlOptions(kind, options.control_steps)
    trainer = control_trainer(model, controlled, options.state / f"control-{kind}.pt", start)
    trainer.run()
    save_file(pack(trainer.weights()), control_weights(kind))


def export_stage(options: Options) -> None:
    """Write the averaged weights of decoder and base model where `checkpoint` reads them, in half precision."""
    WEIGHTS.mkdir(exist_ok=True)
    for name, part in ((DECODER_NAME, "decoder"), (BASE_NAME, "base")):
        state = load_averaged(options.state / f"{part}.pt")
        save_file({key: value.half().contiguous() for key, value in state.items()}, WEIGHTS / name)


def stages() -> dict[str, Callable[[Options], None]]:
    """All stages by name, in their order."""
    fits = {"decoder": decoder_stage, "small": small_stage, "base": base_stage}
    before: dict[str, Callable[[Options], None]] = {
        name: lambda options, stage=stage: stage(options).run() for name, stage in fits.items()
    }
    controls = {f"control-{kind}": partial(control_stage, kind) for kind in HINTS}
    return before | {"export": export_stage} | controls


def main() -> None:
    every = stages()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"of {', '.join(every)}; all of them if none")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    for name, value in vars(Options()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    arguments = vars(parser.parse_args())
    chosen, threads = arguments.pop("stages"), arguments.pop("threads")
    torch.set_num_threads(threads)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # so that a stage saves its state
    for stage in chosen or every:
        every[stage](Options(**arguments))


if __name__ == "__main__":
    main()

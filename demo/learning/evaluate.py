"""Samples the narrow model on captions it was not trained on and measures whether it obeys.

`python -m zeroconv.demo.learning.evaluate` prints the shares and writes a contact sheet, of the running training's
weights; with `--control KIND`, of the exported weights with that ControlNet.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from ...controlnet.networks.build import build_controlnet
from ...controlnet.networks.controlnet import ControlNet, Inputs
from ...controlnet.residuals import Residuals
from ...training.report.samples import ddim
from ..checkpoint import BASE_NAME, DECODER_NAME, WEIGHTS, control_weights
from ..model.autoencoder import build_decoder, encode
from ..model.narrow_model import TIMESTEPS, DemoModel, load_model, noise_schedule
from ..model.pack import unpack
from ..model.text import ContextTable
from ..model.unet import BaseModel
from ..scenes.hints import HINTS, object_mask
from ..scenes.measures import agreement, obedience
from ..scenes.measures import object_mask as seen_mask
from ..scenes.render import render
from ..scenes.world import Scenes, captions, draw_scenes, is_held_out
from ..train import STATE
from .fit import load_averaged

GUIDANCE = 3.0


@dataclass(frozen=True)
class Control:
    """A ControlNet, its hints (N, 3, S, S) and its strength."""

    network: ControlNet
    hints: Tensor
    strength: float = 1.0


def held_out_scenes(count: int, pair_share: float = 0.0, seed: int = 2_000_000) -> Scenes:
    """`count` scenes whose captions were kept out of training."""
    scenes = draw_scenes(64 * count, seed, pair_share)
    chosen = [index for index, name in enumerate(captions(scenes)) if is_held_out(name)]
    return scenes[torch.tensor(chosen[:count])]


@torch.no_grad()
def sample_latents(
    model: BaseModel, names: Sequence[str], side: int, control: Control | None = None, seed: int = 0, steps: int = 20
) -> Tensor:
    """Latents (N, 4, side, side) for captions `names`, with guidance; `control` acts on both sides of it."""
    table, count = ContextTable([*names, ""]), len(names)
    rows = table.index[torch.tensor([*range(count), *[count] * count])]  # every caption, then as often the empty one
    projected = [(keys[rows], values[rows]) for keys, values in model.project_context(table.rows)]
    residuals = None if control is None else _residuals(control, table.rows, rows)

    def predict(x: Tensor, time: Tensor) -> Tensor:
        x, times = x.repeat(2, 1, 1, 1), time.expand(2 * count)
        added = None if residuals is None else residuals(x, times)
        wanted, other = model(x, times, projected, added).float().chunk(2)
        return other + GUIDANCE * (wanted - other)

    noise = torch.randn(count, 4, side, side, generator=torch.Generator().manual_seed(seed))
    return ddim(noise_schedule(), predict, noise, torch.linspace(TIMESTEPS - 1, 0, steps + 1).round().long())


def _residuals(control: Control, contexts: Tensor, rows: Tensor) -> Callable[[Tensor, Tensor], Residuals]:
    """The control's residuals at (noisy latents, timesteps); contexts: of every prompt. rows: which of them, by row."""
    network = control.network
    projected = [(keys[rows], values[rows]) for keys, values in network.project_context(contexts)]
    embedded = network.embed_hint(control.hints)
    hint = embedded.repeat(len(rows) // len(embedded), 1, 1, 1)

    def add(x: Tensor, times: Tensor) -> Residuals:
        return network(Inputs(x, times), hint, projected).map(lambda residual: residual * control.strength)

    return add


def contact_sheet(rows: Sequence[Tensor]) -> Tensor:
    """Rows of pictures (N, 3, S, S) as one picture (3, H, W)."""
    return torch.cat([torch.cat(list(row.clamp(0, 1)), 2) for row in rows], 1)


def save_picture(image: Tensor, path: Path) -> None:
    """Write a picture (3, H, W) in 0..1 as PNG."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.mul(255).round().byte().permute(1, 2, 0).numpy()).save(path)


def evaluate(model: DemoModel, scenes: Scenes, size: int) -> tuple[str, Tensor]:
    """The measurements on `scenes`, and a sheet: the scenes, the autoencoder's copy, samples of their captions."""
    image = model.decode_latents(sample_latents(model.unet, captions(scenes), size // 8))
    truth = render(scenes[:8], size).image
    sheet = contact_sheet([truth, model.decode_latents(encode(truth)), image[:8], image[8:16]])
    seen = obedience(image, scenes)
    return f"floor {seen.floor:.2f}, color {seen.color:.2f} of {seen.count} samples", sheet


def evaluate_control(model: DemoModel, network: ControlNet, kind: str, scenes: Scenes) -> tuple[str, Tensor]:
    """Agreement of the samples' shapes with the hints', and a sheet: hints, strength 0, 0.5 and 1."""
    rendering = render(scenes)
    hints, wanted = HINTS[kind](rendering), object_mask(rendering)
    rows, told = [hints[:8]], []
    for strength in (0.0, 0.5, 1.0):
        control = Control(network, hints, strength)
        image = model.decode_latents(sample_latents(model.unet, captions(scenes), hints.shape[-1] // 8, control))
        rows.append(image[:8])
        seen = obedience(image, scenes)
        overlap = agreement(seen_mask(image), wanted).mean().item()
        told.append(f"{kind} at {strength}: mean IoU {overlap:.2f}, floor {seen.floor:.2f}, color {seen.color:.2f}")
    return "\n".join(told), contact_sheet(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, default=STATE)
    parser.add_argument("--stage", choices=("small", "base"), default="base")
    parser.add_argument("--control", choices=tuple(HINTS))
    parser.add_argument("--count", type=int, default=32)
    parser.add_argument("--sheet", type=Path, default=STATE / "sheet.png")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    scenes = held_out_scenes(arguments.count)
    if arguments.control:
        file = control_weights(arguments.control)
        network = build_controlnet(unpack(load_file(file)))
        model = load_model(WEIGHTS / BASE_NAME, WEIGHTS / DECODER_NAME)
        told, sheet = evaluate_control(model, network, arguments.control, scenes)
    else:
        unet, decoder = BaseModel(), build_decoder()
        unet.load_state_dict(load_averaged(arguments.state / f"{arguments.stage}.pt"))
        decoder.load_state_dict(load_averaged(arguments.state / "decoder.pt"))
        told, sheet = evaluate(DemoModel(unet, decoder), scenes, 64 if arguments.stage == "small" else 128)
    save_picture(sheet, arguments.sheet)
    print(f"{told}; {arguments.sheet}")


if __name__ == "__main__":
    main()

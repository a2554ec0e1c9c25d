"""The training data of the base model: latents of rendered scenes and their captions, computed once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..model.autoencoder import encode
from ..model.text import ContextTable
from ..scenes.render import render
from ..scenes.world import captions, draw_scenes, is_held_out

CHUNK = 2048
"""Scenes in one file; the file's number is the seed of its scenes."""


@dataclass(frozen=True)
class Source:
    """Which scenes: their pictures' size in pixels, how many chunks, which share (0..1) has two objects."""

    size: int = 128
    chunks: int = 12
    pair_share: float = 0.2


@dataclass(frozen=True)
class Latents:
    """`latent` (N, 4, S/8, S/8) float16; `caption` (N,) the row of `table` for each; row 0 is the empty caption."""

    latent: Tensor
    caption: Tensor
    names: list[str]
    table: ContextTable


def chunk(folder: Path, seed: int, source: Source) -> dict[str, Any]:
    """Latents and captions of one chunk of scenes without the held-out captions, from its file or made now."""
    path = folder / f"latents-{source.size}-{source.pair_share}-{seed}.pt"
    if path.exists():
        return torch.load(path, weights_only=True)
    scenes = draw_scenes(CHUNK, seed, source.pair_share)
    names = captions(scenes)
    kept = torch.tensor([index for index, name in enumerate(names) if not is_held_out(name)])
    # One ray a pixel is enough: a latent averages 64 of them.
    parts = [encode(render(scenes[rows], source.size, samples=1).image).half() for rows in kept.split(8)]
    result = {"latent": torch.cat(parts), "captions": [names[index] for index in kept.tolist()]}
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(result, path)
    return result


def training_latents(folder: Path, source: Source) -> Latents:
    """The latents of `source` and the table of their captions."""
    parts = [chunk(folder, seed, source) for seed in range(source.chunks)]
    all_captions = [name for part in parts for name in part["captions"]]
    names = ["", *sorted(set(all_captions))]
    number = {name: index for index, name in enumerate(names)}
    return Latents(
        latent=torch.cat([part["latent"] for part in parts]),
        caption=torch.tensor([number[name] for name in all_captions]),
        names=names,
        table=ContextTable(names),
    )

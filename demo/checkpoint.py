"""Writes the demonstration model as files that ComfyUI loads: `python -m zeroconv.demo.checkpoint MODELS_FOLDER`.

The checkpoint is of the Stable Diffusion 1.5 family: the shipped narrow UNet and autoencoder, widened exactly, and a
CLIP-L text encoder made from a seed. The ControlNets beside it are widened too.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from .model import text
from .model.autoencoder import build_encoder
from .model.pack import unpack
from .model.widen import widen_autoencoder, widen_controlnet, widen_unet

WEIGHTS = Path(__file__).resolve().parent / "weights"
BASE_NAME, DECODER_NAME, CONTROL_PREFIX = "base.safetensors", "decoder.safetensors", "control-"
CHECKPOINT_NAME = "zeroconv-demo.safetensors"
LATENT_SCALE = 0.18215
"""ComfyUI divides a latent of this family by this before decoding; TAESD's `vae_scale` multiplies it back."""
_LAYERS = 12
_INNER = 3072


def control_name(kind: str) -> str:
    """The file that ComfyUI sees of the ControlNet for a kind of hint."""
    return f"zeroconv-demo-{kind}.safetensors"


def control_weights(kind: str, weights: Path = WEIGHTS) -> Path:
    """The shipped file of the narrow ControlNet for a kind of hint."""
    return weights / f"{CONTROL_PREFIX}{kind}.safetensors"


def checkpoint(unet: Mapping[str, Tensor], decoder: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of the checkpoint, float16, of the narrow UNet and decoder."""
    autoencoder = widen_autoencoder(build_encoder().state_dict(), decoder)
    autoencoder |= {"vae_scale": torch.tensor(LATENT_SCALE), "vae_shift": torch.tensor(0.0)}
    parts = {
        "model.diffusion_model.": widen_unet(unet),
        "first_stage_model.": autoencoder,
        "cond_stage_model.transformer.text_model.": text_encoder(),
    }
    return {prefix + key: value.half().contiguous() for prefix, part in parts.items() for key, value in part.items()}


def text_encoder() -> dict[str, Tensor]:
    """A CLIP-L whose layers add nothing to the embeddings of `text`: what it says is their layer norm."""
    width = text.WIDTH
    token, position = text.embeddings()
    state = {"embeddings.token_embedding.weight": token, "embeddings.position_embedding.weight": position}
    norms = ["final_layer_norm"]
    for layer in range(_LAYERS):
        prefix = f"encoder.layers.{layer}"
        norms += [f"{prefix}.layer_norm1", f"{prefix}.layer_norm2"]
        shapes = {f"self_attn.{name}_proj": (width, width) for name in ("q", "k", "v", "out")}
        shapes |= {"mlp.fc1": (_INNER, width), "mlp.fc2": (width, _INNER)}
        for name, shape in shapes.items():
            state[f"{prefix}.{name}.weight"] = torch.zeros(shape, dtype=torch.float16)
            state[f"{prefix}.{name}.bias"] = torch.zeros(shape[0], dtype=torch.float16)
    for name in norms:
        state[f"{name}.weight"] = torch.ones(width, dtype=torch.float16)
        state[f"{name}.bias"] = torch.zeros(width, dtype=torch.float16)
    return state


def write_models(folder: Path, weights: Path = WEIGHTS) -> list[Path]:
    """Write the checkpoint and the ControlNets into a ComfyUI `models` folder where they are not up to date.

    Returns the files.
    Raises FileNotFoundError when the shipped weights are absent.
    """
    for name in (BASE_NAME, DECODER_NAME):
        if not (weights / name).exists():
            raise FileNotFoundError(
                f"The demonstration's weights '{weights / name}' are absent. Train them with `make demo-train`, "
                "or take them from the repository."
            )
    made: dict[Path, Callable[[], Mapping[str, Tensor]]] = {
        folder / "checkpoints" / CHECKPOINT_NAME: lambda: checkpoint(
            load_file(weights / BASE_NAME), load_file(weights / DECODER_NAME)
        )
    }
    for narrow in sorted(weights.glob(f"{CONTROL_PREFIX}*.safetensors")):
        kind = narrow.stem.removeprefix(CONTROL_PREFIX)
        made[folder / "controlnet" / control_name(kind)] = partial(_widened, narrow)
    sources = [*weights.iterdir(), *Path(__file__).parent.rglob("*.py")]
    changed = max(source.stat().st_mtime for source in sources)
    for path, make in made.items():
        if not path.exists() or path.stat().st_mtime < changed:
            _save(make(), path)
    return list(made)


def _widened(narrow: Path) -> dict[str, Tensor]:
    """A shipped ControlNet at the width that ComfyUI knows, float16."""
    return {key: value.half() for key, value in widen_controlnet(unpack(load_file(narrow))).items()}


def _save(state: Mapping[str, Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file(dict(state), part, metadata={"format": "pt", "made by": "zeroconv demo"})
    os.replace(part, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="ComfyUI's models folder")
    for path in write_models(parser.parse_args().models):
        print(path)


if __name__ == "__main__":
    main()

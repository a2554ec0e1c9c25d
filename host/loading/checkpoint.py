"""A whole checkpoint file, loaded as ComfyUI's own node does."""

from pathlib import Path
from typing import Any

import comfy.sd


def load_checkpoint(path: Path) -> tuple[Any, Any, Any]:
    """MODEL, CLIP and VAE of a checkpoint file. Raises FileNotFoundError when it is not there."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint '{path}'.")
    model, clip, vae = comfy.sd.load_checkpoint_guess_config(str(path))[:3]
    return model, clip, vae

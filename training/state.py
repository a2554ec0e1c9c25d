"""The state of a training on disk: all that is needed to continue as if nothing had happened."""

from pathlib import Path
from typing import Any

import torch

from ..storage.weights import load_pickle
from ..storage.writing import bytes_of, write_atomically

TYPES = {"step": int, "base": str, "random": dict, "control": dict, "optimizer": dict, "ema": dict, "scaler": dict}
"""The contents of a state, by name."""


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write `Trainer.state()`. Raises OSError when the disk is too full; the file saved before is kept."""
    write_atomically(path, bytes_of(state), lambda file: torch.save(state, file))


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote. Raises ValueError when the file is damaged or something else."""
    try:
        state = load_pickle(path)
    except ValueError as error:
        raise ValueError(f"'{path.name}' is damaged, or it is not a saved training. Train under a new name.") from error
    content = state if isinstance(state, dict) else {}
    wrong = [name for name, kind in TYPES.items() if not isinstance(content.get(name), kind)]
    if wrong or "seed" not in content["random"]:
        raise ValueError(
            f"'{path.name}' is not a saved training: it lacks {', '.join(wrong) or 'the seed'}. Train under a new name."
        )
    return content

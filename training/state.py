"""The state of a training on disk: all that is needed to go on as if nothing had happened."""

from pathlib import Path
from typing import Any

import torch

from ..storage.weights import load_pickle
from ..storage.writing import bytes_of, write_atomically


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write `Trainer.state()`. Raises OSError when the disk is too full; the file saved before is kept."""
    write_atomically(path, bytes_of(state), lambda file: torch.save(state, file))


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote. Raises ValueError when the file is damaged or something else."""
    try:
        state = load_pickle(path)
    except ValueError as error:
        raise ValueError(f"'{path.name}' is no saved training, or it is damaged. Train under a new name.") from error
    if not isinstance(state, dict) or not {"step", "base", "control", "optimiser"} <= state.keys():
        raise ValueError(f"'{path.name}' is no saved training. Train under a new name.")
    return state

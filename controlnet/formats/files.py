"""Read weight files that nobody vouches for: tensors only, never code."""

import pickle
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

StateDict = dict[str, Tensor]

PICKLES = (".pth", ".pt", ".ckpt", ".bin")


def read_state_dict(path: str | Path) -> StateDict:
    """Read the tensors of a `.safetensors`, `.pth`, `.pt`, `.ckpt` or `.bin` file, mapped into memory where possible.

    Raises ValueError with what to do when the file is empty, cut off, no weight file, or holds code.
    """
    path = Path(path)
    if path.stat().st_size == 0:
        raise ValueError(f"'{path.name}' is empty: the download failed. Download it again.")
    tensors = _read_pickle(path) if path.suffix.lower() in PICKLES else _read_safetensors(path)
    if not tensors:
        raise ValueError(f"'{path.name}' holds no tensors: it is not a weight file.")
    return tensors


def _read_safetensors(path: Path) -> StateDict:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> ValueError:
    """The message for a safetensors file that cannot be read."""
    return ValueError(
        f"'{path.name}' is damaged or no safetensors file ({error}). "
        "Download it again, and check that it is not a web page or a Git LFS pointer."
    )


def _read_pickle(path: Path) -> StateDict:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"'{path.name}' holds more than tensors, or is damaged; nothing of it was run. "
            "Use the .safetensors version of this file."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"'{path.name}' is damaged or no weight file ({error}). Download it again.") from error
    return _tensors(content)


def _tensors(content: object) -> StateDict:
    """The state dict in a checkpoint: itself, or under the key `state_dict` (Lightning)."""
    if not isinstance(content, dict):
        return {}
    inner = content.get("state_dict", content)
    if not isinstance(inner, dict):
        return {}
    return {str(key): value for key, value in inner.items() if isinstance(value, Tensor)}

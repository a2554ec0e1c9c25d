"""Read weight files that nobody vouches for: tensors only, never code."""

import pickle
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..networks.dimensions import Shapes
from .folder import weight_files
from .scaled import plain, unscale

StateDict = dict[str, Tensor]

PICKLES = (".pth", ".pt", ".ckpt", ".bin")
INNER = ("state_dict", "adapter", "controlnet")
"""Names under which training programs put the weights in a checkpoint (Lightning, T2I-Adapter, AnimateDiff)."""
MAX_SHARING = 4
"""Tensors of a pickle may share memory; together they are never so many times the file, unless it is a trap."""


@dataclass(frozen=True)
class Header:
    """What a file says without its weights being read: shapes and stored dtypes by key, and metadata."""

    shapes: Shapes
    dtypes: dict[str, str]
    metadata: dict[str, str] = field(default_factory=dict)
    bytes: int = 0


def read_state_dict(path: str | Path) -> StateDict:
    """Read the tensors of a `.safetensors`, `.pth`, `.pt`, `.ckpt` or `.bin` file, mapped into memory where possible.

    Of a model in several files any of them, its index or its folder stands for all. 8-bit weights with scales are
    brought back to their values. Raises ValueError with what to do when a file is empty, cut off, no weight file, or
    holds code; FileNotFoundError when one of several is missing.
    """
    path = Path(path)
    tensors: StateDict = {}
    for file in weight_files(path):
        part = _read_file(file)
        if twice := tensors.keys() & part.keys():
            raise ValueError(f"'{file.name}' and another part of '{path.name}' both hold '{min(twice)}'.")
        tensors |= part
    return unscale(tensors)


def read_header(path: str | Path) -> Header:
    """Read what a file is without its weights, where the format allows. Raises as `read_state_dict`."""
    files = weight_files(Path(path))
    headers = [_read_file_header(file) for file in files]
    return Header(
        shapes={key: shape for header in headers for key, shape in plain(header.shapes).items()},
        dtypes={key: kind for header in headers for key, kind in plain(header.dtypes).items()},
        metadata={key: text for header in headers for key, text in header.metadata.items()},
        bytes=sum(file.stat().st_size for file in files),
    )


def _read_file(path: Path) -> StateDict:
    _refuse_empty(path)
    tensors = _read_pickle(path) if path.suffix.lower() in PICKLES else _read_safetensors(path)
    if not tensors:
        raise ValueError(f"'{path.name}' holds no tensors: it is not a weight file.")
    return tensors


def _read_file_header(path: Path) -> Header:
    if path.suffix.lower() in PICKLES:
        tensors = _read_file(path)
        dtypes = {key: str(value.dtype).removeprefix("torch.") for key, value in tensors.items()}
        return Header({key: tuple(value.shape) for key, value in tensors.items()}, dtypes)
    _refuse_empty(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            shapes = {key: tuple(part.get_shape()) for key, part in slices.items()}
            return Header(shapes, {key: part.get_dtype() for key, part in slices.items()}, dict(file.metadata() or {}))
    except (SafetensorError, OSError, ValueError, OverflowError) as error:
        raise damaged(path, error) from error


def _refuse_empty(path: Path) -> None:
    if path.stat().st_size == 0:
        raise ValueError(f"'{path.name}' is empty: the download failed. Download it again.")


def _read_safetensors(path: Path) -> StateDict:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError, AttributeError, OverflowError) as error:
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
    except Exception as error:  # a damaged pickle is a damaged program: it can fail in any way
        raise ValueError(f"'{path.name}' is damaged or no weight file ({error}). Download it again.") from error
    tensors = _tensors(content)
    if sum(value.numel() * value.element_size() for value in tensors.values()) > MAX_SHARING * path.stat().st_size:
        raise ValueError(f"'{path.name}' is damaged: its tensors are larger than the file. Download it again.")
    return tensors


def _tensors(content: object) -> StateDict:
    """The state dict in a checkpoint: itself, or under one of the names that programs use."""
    if not isinstance(content, dict):
        return {}
    inner = next((content[name] for name in INNER if isinstance(content.get(name), dict)), content)
    return {str(key): value for key, value in inner.items() if isinstance(value, Tensor) and _is_plain(value)}


def _is_plain(value: Tensor) -> bool:
    return value.layout is torch.strided and not value.is_meta and not value.is_quantized

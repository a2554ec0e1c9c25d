"""The weight files of a ControlNet: one or several, in one dictionary, 8-bit weights brought back to their values."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from ...storage.names import name_of
from ...storage.safetensors_file import each_tensor
from ...storage.weights import Header, is_pickle, read_weights, shapes_of
from ...storage.weights import read_header as read_file_header
from .folder import weight_files
from .scaled import plain, unscale

StateDict = dict[str, Tensor]

INNER = ("state_dict", "adapter", "controlnet")
"""Names under which training programs put the weights in a checkpoint (Lightning, T2I-Adapter, AnimateDiff)."""


def read_state_dict(path: str | Path) -> StateDict:
    """Read the tensors of a `.safetensors`, `.pth`, `.pt`, `.ckpt` or `.bin` file.

    Of a model in several files any of them, its index or its folder stands for all. 8-bit weights with scales are
    brought back to their values. Raises ValueError with what to do when a file is empty, cut off, no weight file, or
    holds code; FileNotFoundError when one of several is missing.
    """
    path = Path(path)
    tensors: StateDict = {}
    for file in weight_files(path):
        part = _read_file(file)
        if twice := tensors.keys() & part.keys():
            raise ValueError(f"{name_of(file)} and another part of {name_of(path)} both hold '{min(twice)}'.")
        tensors |= part
    return unscale(tensors)


def read_header(path: str | Path) -> Header:
    """Read what a file is without its weights, where the format allows. Raises as `read_state_dict`."""
    headers = [_read_file_header(file) for file in weight_files(Path(path))]
    return Header(
        shapes={key: shape for header in headers for key, shape in plain(header.shapes).items()},
        dtypes={key: kind for header in headers for key, kind in plain(header.dtypes).items()},
        metadata={key: text for header in headers for key, text in header.metadata.items()},
        bytes=sum(header.bytes for header in headers),
    )


def not_finite_in(path: str | Path) -> str:
    """`not_finite` for a file, with one tensor in memory at a time where the format allows."""
    return not_finite(item for file in weight_files(Path(path)) for item in _each_tensor(file))


def not_finite(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """A sentence about weights that are NaN or infinite, of which only black pictures come; empty if none are."""
    bad = [key for key, value in tensors if not _is_finite(value)]
    if not bad:
        return ""
    return (
        f"{len(bad)} of its tensors hold NaN or infinite numbers (the first is '{bad[0]}'): it would give black "
        "pictures. It is damaged, or its training failed: download it again, or use another."
    )


def _is_finite(value: Tensor) -> bool:
    if not value.is_floating_point() or not value.numel():
        return True
    if value.element_size() == 1:  # float8, which torch cannot compare
        value = value.to(torch.float16)
    return bool(torch.stack(torch.aminmax(value)).isfinite().all())  # a NaN is both the least and the greatest


def _each_tensor(path: Path) -> Iterator[tuple[str, Tensor]]:
    return iter(_read_file(path).items()) if is_pickle(path) else each_tensor(path)


def _read_file(path: Path) -> StateDict:
    """The tensors of one file: all, or those under one of the names that programs use."""
    content = read_weights(path)
    inner = next((content[name] for name in INNER if isinstance(content.get(name), dict)), content)
    tensors = {key: value for key, value in inner.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"{name_of(path)} holds no tensors: it is not a weight file.")
    return tensors


def _read_file_header(path: Path) -> Header:
    if not is_pickle(path):
        return read_file_header(path)
    tensors = _read_file(path)
    dtypes = {key: str(value.dtype).removeprefix("torch.") for key, value in tensors.items()}
    return Header(shapes_of(tensors), dtypes, bytes=path.stat().st_size)

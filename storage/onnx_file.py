"""The weights and the wiring of an ONNX file, read by the numbers of its fields (onnx.proto); nothing of it is run.

A file is a message of protocol buffers: fields, each a number and a kind, some of which are messages again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .names import name_of
from .reading import check_file
from .safetensors_file import MOST_TENSORS

_VARINT, _EIGHT_BYTES, _MESSAGE, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_TENSOR, _GRAPH_OUTPUT = 1, 5, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_KIND, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_NUMBER, _ATTRIBUTE_TENSOR = 1, 3, 5
_OUTPUT_NAME = 1
_TENSOR_SIZES, _TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_NAME, _TENSOR_BYTES = 1, 2, 4, 8, 9
_TYPES = {1: np.float32, 10: np.float16, 11: np.float64}
"""Number of a type of floats in the format; tensors of other types are no weights and are left out."""


@dataclass(frozen=True)
class Node:
    """One operation, from its inputs to its outputs by name. numbers: its attributes that are whole numbers."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: dict[str, int]


@dataclass(frozen=True)
class Graph:
    """The operations in the file's order, its tensors of floats by name, and the names of its outputs."""

    nodes: tuple[Node, ...]
    tensors: dict[str, Tensor]
    outputs: tuple[str, ...]


def read_onnx(path: Path) -> Graph:
    """The graph of a file, its tensors in memory of their own. Raises ValueError for one that is damaged or another."""
    check_file(path)
    content = memoryview(path.read_bytes())
    try:
        graph = next((value for number, value in _fields(content) if number == _MODEL_GRAPH), None)
        if isinstance(graph, memoryview):
            return _graph(graph)
    except (IndexError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{name_of(path)} is damaged or no ONNX file. Download it again.") from error
    raise ValueError(f"{name_of(path)} is no ONNX file: it holds no graph.")


def _graph(content: memoryview) -> Graph:
    nodes, tensors, outputs = [], {}, []
    for number, value in _messages(content):
        if number == _GRAPH_NODE:
            node, constant = _node(value)
            nodes.append(node)
            if constant is not None:
                tensors[node.outputs[0]] = constant
        elif number == _GRAPH_TENSOR:
            name, tensor = _tensor(value)
            if tensor is not None:
                tensors[name] = tensor
        elif number == _GRAPH_OUTPUT:
            outputs += [_text(inner) for field, inner in _messages(value) if field == _OUTPUT_NAME]
    if max(len(nodes), len(tensors)) > MOST_TENSORS:
        raise ValueError("more parts than any network has")
    return Graph(tuple(nodes), tensors, tuple(outputs))


def _node(content: memoryview) -> tuple[Node, Tensor | None]:
    """A node, and the value of a constant."""
    kind, inputs, outputs, numbers, constant = "", [], [], {}, None
    for number, value in _messages(content):
        if number == _NODE_INPUT:
            inputs.append(_text(value))
        elif number == _NODE_OUTPUT:
            outputs.append(_text(value))
        elif number == _NODE_KIND:
            kind = _text(value)
        elif number == _NODE_ATTRIBUTE:
            attribute = dict(_fields(value))
            name, whole, tensor = (
                attribute.get(field) for field in (_ATTRIBUTE_NAME, _ATTRIBUTE_NUMBER, _ATTRIBUTE_TENSOR)
            )
            if isinstance(name, memoryview) and isinstance(whole, int):
                numbers[_text(name)] = whole
            if isinstance(tensor, memoryview):
                _, constant = _tensor(tensor)
    return Node(kind, tuple(inputs), tuple(outputs), numbers), constant if kind == "Constant" else None


def _tensor(content: memoryview) -> tuple[str, Tensor | None]:
    """Name and values of a tensor; None for one that does not hold floats."""
    name, sizes, kind, data = "", [], 0, memoryview(b"")
    for number, value in _fields(content):
        if number == _TENSOR_SIZES:
            sizes += [value] if isinstance(value, int) else list(_varints(value))
        elif number == _TENSOR_TYPE and isinstance(value, int):
            kind = value
        elif number == _TENSOR_NAME and isinstance(value, memoryview):
            name = _text(value)
        elif number in (_TENSOR_FLOATS, _TENSOR_BYTES) and isinstance(value, memoryview):
            data = value
    if kind not in _TYPES:
        return name, None
    values = np.frombuffer(data, np.dtype(_TYPES[kind]).newbyteorder("<"))
    if values.size != math.prod(sizes):
        raise ValueError("a tensor has another size than it says")
    return name, torch.from_numpy(values.astype(_TYPES[kind]).reshape(sizes))


def _messages(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields that are messages or texts."""
    return ((number, value) for number, value in _fields(content) if isinstance(value, memoryview))


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field: a number, or the bytes of what is longer."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(content, at)
            yield number, value
            continue
        if kind == _MESSAGE:
            length, at = _varint(content, at)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError("a field of no known kind")
        if at + length > len(content):
            raise ValueError("a field is cut off")
        yield number, content[at : at + length]
        at += length


def _varints(content: memoryview) -> Iterator[int]:
    at = 0
    while at < len(content):
        value, at = _varint(content, at)
        yield value


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = 0
    for index in range(_LONGEST_VARINT):
        byte = content[at + index]
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, at + index + 1
    raise ValueError("a number is too long")


def _text(content: memoryview) -> str:
    return bytes(content).decode()

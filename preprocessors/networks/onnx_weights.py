"""A network of ours with the weights of an ONNX file of the same network, which has no names of layers.

Both are walked from their outputs back to the picture, in the order of each operation's inputs. What is met in the
same place is the same layer: so the order in which an exporter wrote the operations down plays no part.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor, fx, nn

from ...storage.onnx_file import Graph, Node

Item = TypeVar("Item", bound=Hashable)

_LAYERS = ("Conv", "Gemm", "MatMul")
_FACTORS = ("Add", "Div", "Mul", "Sub")
_SAME = ("Identity", "Unsqueeze")
"""Operations on weights that an exporter may leave in the file, and that change no value."""


def name_weights(graph: Graph, create: Callable[[], nn.Module]) -> dict[str, Tensor]:
    """The weights of a file under the names of a network of ours.

    create: the network, with layers of torch. Raises ValueError where the file holds another network.
    """
    with torch.device("meta"):
        network = create()
    shapes = {name: value.shape for name, value in network.named_parameters()}
    names, weights = list(_names(network)), list(weights_in_order(graph))
    if len(names) != len(weights):
        raise ValueError(f"The file does not fit {type(network).__name__}: {len(weights)} weights, not {len(names)}.")
    named = {}
    for name, weight in zip(names, weights, strict=True):
        if _without_ones(weight.shape) != _without_ones(shapes[name]):
            found, wanted = tuple(weight.shape), tuple(shapes[name])
            raise ValueError(f"The file does not fit {type(network).__name__}: {name} is {found}, not {wanted}.")
        named[name] = weight.reshape(shapes[name])
    return named


def weights_in_order(graph: Graph) -> Iterator[Tensor]:
    """The weights of a graph as a walk from its outputs meets them; matrices as torch's linear layers have them."""
    makers = {output: node for node in graph.nodes for output in node.outputs}
    weights: dict[tuple[str, str], Tensor] = {}

    def inputs(item: str | tuple[str, str]) -> Iterator[str | tuple[str, str]]:
        node = makers.get(item) if isinstance(item, str) else None
        for place, name in enumerate(node.inputs if node else ()):
            weight = _weight(graph, makers, node, place) if node else None
            if weight is None:
                yield name
            else:
                key = (node.outputs[0] if node else "", name)
                weights[key] = weight
                yield key

    for item in _walk(graph.outputs, inputs):
        if isinstance(item, tuple):
            yield weights[item]


def _weight(graph: Graph, makers: dict[str, Node], node: Node, place: int) -> Tensor | None:
    """The weight that an operation has as its input at a place; None for a value that comes from elsewhere.

    Numbers without dimensions are the constants of a formula.
    """
    if not (node.kind in _FACTORS or (node.kind in _LAYERS and place > 0)):
        return None
    name, turned = node.inputs[place], False
    for _ in range(len(makers)):
        maker = makers.get(name)
        if name in graph.tensors or maker is None or maker.kind not in (*_SAME, "Transpose"):
            break
        turned ^= maker.kind == "Transpose"
        name = maker.inputs[0]
    weight = graph.tensors.get(name)
    if weight is None or weight.dim() == 0:
        return None
    as_stored = node.kind == "MatMul" or (node.kind == "Gemm" and not node.numbers.get("transB"))
    return weight.T if weight.dim() == 2 and place == 1 and (node.kind in _LAYERS) and as_stored != turned else weight


def _names(network: nn.Module) -> Iterator[str]:
    """The names of a network's weights in the same order."""
    traced = _Layers().trace(network)
    outputs = [node for node in traced.nodes if node.op == "output"]

    def inputs(item: fx.Node | str) -> Iterator[fx.Node | str]:
        if isinstance(item, str):
            return
        yield from item.all_input_nodes
        if item.op == "get_attr":
            yield str(item.target)
        elif item.op == "call_module":
            layer = network.get_submodule(str(item.target))
            yield from (f"{item.target}.{name}" for name, _ in layer.named_parameters(recurse=False))

    return (item for item in _walk(outputs, inputs) if isinstance(item, str))


class _Layers(fx.Tracer):
    """Follows a picture through a network down to the layers without layers of their own."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not any(True for _ in m.children())


def _walk(outputs: Iterable[Item], inputs: Callable[[Item], Iterable[Item]]) -> Iterator[Item]:
    """Everything that the outputs come from, each once, behind its own inputs."""
    seen: set[Item] = set()
    for output in outputs:
        if output in seen:
            continue
        path = [(output, iter(inputs(output)))]
        seen.add(output)
        while path:
            item, rest = path[-1]
            following = next((one for one in rest if one not in seen), None)
            if following is None:
                yield item
                path.pop()
            else:
                seen.add(following)
                path.append((following, iter(inputs(following))))


def _without_ones(shape: torch.Size) -> list[int]:
    return [size for size in shape if size > 1]

"""MediaPipe's networks, run from their .tflite files by the small runtime `ai-edge-litert`.

Source of the files: the Python package mediapipe 0.10.21 (Apache-2.0), whose own code is not used.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ...storage.names import name_of
from ...storage.reading import check_file


class TfliteNetwork(nn.Module):
    """A .tflite file as a network: it runs on the CPU, one picture at a time, whatever the batch.

    Raises ImportError, with what to install, when no runtime is there.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._interpreter = _interpreter(path)
        self._interpreter.allocate_tensors()
        (self._input,) = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()

    @property
    def size(self) -> int:
        """Side of the squares the network takes, in pixels."""
        return int(self._input["shape"][1])

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, size, size), in the range that the network was trained with -> its outputs, (B, ...) each."""
        results = [self._run(image) for image in images.movedim(1, -1).float().cpu()]
        return tuple(torch.stack(values) for values in zip(*results, strict=True))

    def _run(self, image: Tensor) -> list[Tensor]:
        self._interpreter.set_tensor(self._input["index"], image[None].contiguous().numpy())
        self._interpreter.invoke()
        return [torch.from_numpy(self._interpreter.get_tensor(output["index"])[0]) for output in self._outputs]


def tflite_network(networks: Callable[[str], nn.Module], name: str) -> TfliteNetwork:
    """The network of a row of the weights. Raises ValueError where it is not one of MediaPipe's."""
    network = networks(name)
    if not isinstance(network, TfliteNetwork):
        raise ValueError(f"{name} must be one of MediaPipe's .tflite files.")
    return network


def _interpreter(path: Path):  # noqa: ANN202 - the class of whichever runtime there is
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError as error:
            raise ImportError(
                f"{path.name} needs a runtime for TensorFlow Lite files. Install it with: pip install ai-edge-litert"
            ) from error
    check_file(path)
    try:
        return Interpreter(model_content=path.read_bytes(), num_threads=torch.get_num_threads())
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{name_of(path)} is damaged or no TensorFlow Lite file.") from error


def build_file(path: Path) -> nn.Module:
    """The network of one of MediaPipe's .tflite files."""
    return TfliteNetwork(path).eval()

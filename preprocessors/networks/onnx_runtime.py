"""Networks that are run from their ONNX files, by onnxruntime where it is installed, else by OpenCV."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...storage.names import name_of
from ...storage.reading import check_file

Session = Callable[[np.ndarray], list[np.ndarray]]


class _OnePicture(nn.Module):
    """A run of the file, as a layer of its own: between two of them a host can stop."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def forward(self, image: Tensor) -> list[Tensor]:
        return [torch.from_numpy(value) for value in self._session(image.contiguous().numpy())]


class OnnxNetwork(nn.Module):
    """An ONNX file with one input as a network: one picture at a time, whatever the batch.

    `runtime` says what runs it: "onnxruntime" or "OpenCV".
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.runtime, session = _open(path)
        self.one = _OnePicture(session)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) -> its outputs, (B, ...) each, on the CPU."""
        results = [self.one(image) for image in images.float().cpu().split(1)]
        return tuple(torch.cat(values) for values in zip(*results, strict=True))


def _open(path: Path) -> tuple[str, Session]:
    """The file is handed over as bytes, so that no runtime keeps it open or mapped."""
    check_file(path)
    content = path.read_bytes()
    try:
        import onnxruntime
    except ImportError:
        return "OpenCV", _opencv_session(path, content)
    try:
        session = onnxruntime.InferenceSession(content, providers=onnxruntime.get_available_providers())
    except Exception as error:  # onnxruntime's errors have no common class
        raise ValueError(f"{name_of(path)} is damaged or no ONNX file.") from error
    name = session.get_inputs()[0].name
    return "onnxruntime", lambda images: [np.asarray(value) for value in session.run(None, {name: images})]


def _opencv_session(path: Path, content: bytes) -> Session:
    import cv2

    try:
        network = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))
    except cv2.error as error:
        raise ValueError(f"{name_of(path)} is damaged or no ONNX file.") from error
    names = network.getUnconnectedOutLayersNames()

    def run(images: np.ndarray) -> list[np.ndarray]:
        network.setInput(images)
        # OpenCV hands out its own buffers, which the next run overwrites.
        return [np.array(value) for value in network.forward(names)]

    return run


def build_file(path: Path) -> nn.Module:
    """The network of an ONNX file, which must be one that was published: runtimes check little of what they run."""
    return OnnxNetwork(path).eval()

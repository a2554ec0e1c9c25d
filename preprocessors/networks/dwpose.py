"""DWPose's networks, run from their ONNX files: by onnxruntime where it is installed, else by OpenCV.

Source of the files: the hub repository yzd-v/DWPose (Yang et al., arXiv 2307.15880).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

Session = Callable[[np.ndarray], list[np.ndarray]]


class OnnxNetwork(nn.Module):
    """An ONNX file with one input as a network: one picture at a time, whatever the batch.

    `runtime` says what runs it: "onnxruntime" or "OpenCV".
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.runtime, self._session = _open(path)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) -> its outputs, (B, ...) each, on the CPU."""
        results = [self._session(image[None].contiguous().numpy()) for image in images.float().cpu()]
        return tuple(torch.cat([torch.from_numpy(value) for value in values]) for values in zip(*results, strict=True))


def _open(path: Path) -> tuple[str, Session]:
    try:
        import onnxruntime
    except ImportError:
        return "OpenCV", _opencv_session(path)
    session = onnxruntime.InferenceSession(str(path), providers=onnxruntime.get_available_providers())
    name = session.get_inputs()[0].name
    return "onnxruntime", lambda images: [np.asarray(value) for value in session.run(None, {name: images})]


def _opencv_session(path: Path) -> Session:
    import cv2

    network = cv2.dnn.readNetFromONNX(str(path))
    names = network.getUnconnectedOutLayersNames()

    def run(images: np.ndarray) -> list[np.ndarray]:
        network.setInput(images)
        # OpenCV hands out its own buffers, which the next run overwrites.
        return [np.array(value) for value in network.forward(names)]

    return run


def build_file(path: Path) -> nn.Module:
    """The network of one of DWPose's ONNX files."""
    return OnnxNetwork(path).eval()

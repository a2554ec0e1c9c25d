"""The annotators of other packages, with the weights they are given, called as the ComfyUI nodes around them do."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..models.official_weights import random_state_dict
from .reference_packages import controlnet_aux
from .transformers_midas import depth_at_any_size, transformers_midas

FOLDER = "ZEROCONV_BENCH_AUX"
"""The environment variable with the folder of comfyui_controlnet_aux."""

Annotate = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Package:
    """name: of the package. module: imports one of its modules. sizes: names of its arguments for the working size."""

    name: str
    module: Callable[[str], Any]
    sizes: tuple[str, ...]

    def annotate(self, detector: Callable[..., np.ndarray], size: int, *settings: Any) -> Annotate:
        """A detector on HWC bytes at one working size."""
        sizes: Mapping[str, int] = dict.fromkeys(self.sizes, size)
        return lambda array: detector(array, *settings, output_type="np", **sizes)


def packages() -> list[Package]:
    """controlnet-aux, and comfyui_controlnet_aux where its folder is given."""
    _stand_in_for_matplotlib()
    found = [Package("controlnet-aux", controlnet_aux, ("detect_resolution", "image_resolution"))]
    folder = os.environ.get(FOLDER)
    if folder:
        sys.path.append(str(Path(folder) / "src"))
        found.append(Package("comfyui_controlnet_aux", _comfyui_module, ("detect_resolution",)))
    return found


def _comfyui_module(name: str) -> ModuleType:
    return importlib.import_module(f"custom_controlnet_aux.{name.removesuffix('.__init__')}")


def _stand_in_for_matplotlib() -> None:
    """Both packages import it for colors of poses that nothing here asks for."""
    importlib.import_module("transformers")  # first: it looks whether matplotlib is installed
    for name in ("matplotlib", "matplotlib.pyplot", "matplotlib.colors"):
        sys.modules.setdefault(name, ModuleType(name))
    sys.modules["matplotlib"].__dict__.setdefault("pyplot", sys.modules["matplotlib.pyplot"])
    sys.modules["matplotlib"].__dict__.setdefault("colors", sys.modules["matplotlib.colors"])


def as_nodes_do(images: Tensor, annotate: Annotate) -> Tensor:
    """Bytes of each picture of an IMAGE, one call for each, and an IMAGE of the hints."""
    hints = [annotate(np.asarray(image * 255, dtype=np.uint8)) for image in images]
    return torch.stack([torch.from_numpy(hint.astype(np.float32) / 255) for hint in hints])


def canny(package: Package, size: int) -> Annotate:
    detector = package.module("canny.__init__").CannyDetector()
    return package.annotate(lambda array, **options: detector(array, 100, 200, **options), size)


def soft_edges(package: Package, size: int) -> Annotate:
    module = package.module("hed.__init__")
    network = module.ControlNetHED_Apache2()
    network.load_state_dict(random_state_dict("hed"))
    return package.annotate(module.HEDdetector(network.float().eval()), size)


def straight_lines(package: Package, size: int) -> Annotate:
    module = package.module("mlsd.__init__")
    network = module.MobileV2_MLSD_Large().eval()
    network.load_state_dict(random_state_dict("mlsd_large"))
    return package.annotate(module.MLSDdetector(network), size)


def line_drawing(package: Package, size: int) -> Annotate:
    module = package.module("lineart.__init__")
    network = module.Generator(3, 1, 3).eval()
    network.load_state_dict(random_state_dict("lineart"))
    return package.annotate(module.LineartDetector(network, network), size)


def depth(package: Package, size: int) -> Annotate:
    """comfyui_controlnet_aux runs transformers' network on a square of 384; controlnet-aux its own at `size`, which
    needs timm: transformers' with the same weights takes its place."""
    network = transformers_midas(random_state_dict("midas_dpt_hybrid"))
    if package.module is controlnet_aux:
        needs_timm = ModuleType("controlnet_aux.midas.api")
        needs_timm.__dict__["MiDaSInference"] = _AnySize
        sys.modules.setdefault(needs_timm.__name__, needs_timm)
        return package.annotate(package.module("midas.__init__").MidasDetector(_AnySize(network)), size)
    module = package.module("midas.__init__")
    from transformers import DPTImageProcessor

    detector = module.MidasDetector.__new__(module.MidasDetector)
    detector.model, detector.device = network, "cpu"
    detector.processor = DPTImageProcessor(image_mean=[0.5] * 3, image_std=[0.5] * 3)
    return package.annotate(detector, size)


class _AnySize(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return depth_at_any_size(self.network, images / 2 + 0.5)


def body_network(package: Package) -> nn.Module:
    """BGR (B, 3, H, W) in -0.5..0.5 -> fields and maps."""
    package.module("open_pose.util")  # first: it and the body import each other
    network = package.module("open_pose.model").bodypose_model().eval()
    network.load_state_dict(random_state_dict("openpose_body"))
    return network


def body_decoder(package: Package, fields: Tensor, heat: Tensor) -> Callable[[np.ndarray], Any]:
    """From pictures (H, W, 3) to people, with maps that are known in the place of the network's."""
    package.module("open_pose.util")
    body = package.module("open_pose.body").Body.__new__(package.module("open_pose.body").Body)
    body.model, body.device = _KnownMaps(fields, heat), "cpu"
    return body


def people_finder(package: Package, network: nn.Module) -> Callable[[np.ndarray], Any]:
    """DWPose's detector on one picture of bytes, by the package's way with a TorchScript file of the same network."""
    program = _as_program(network, (640, 640))
    module = package.module("dwpose.dw_torchscript.jit_det")
    return lambda array: module.inference_detector(program, array)


def people_poser(package: Package, network: nn.Module, boxes: np.ndarray) -> Callable[[np.ndarray], Any]:
    """The points of DWPose in boxes of one picture of bytes; the package's file takes five at a time."""
    program = _as_program(network, (384, 288), 5)
    module = package.module("dwpose.dw_torchscript.jit_pose")
    return lambda array: module.inference_pose(program, boxes, array)


def _as_program(network: nn.Module, size: tuple[int, int], count: int = 1) -> nn.Module:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        program: Any = torch.jit.trace(network, torch.rand(count, 3, *size))
    return _OneOrAll(program)


class _OneOrAll(nn.Module):
    """A tuple of one is its content, as exporters write it."""

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program

    def forward(self, images: Tensor) -> Any:
        with torch.no_grad():
            outputs = self.program(images)
        return outputs[0] if len(outputs) == 1 else outputs


class _KnownMaps(nn.Module):
    def __init__(self, fields: Tensor, heat: Tensor) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.cat([fields, heat])[None], requires_grad=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        size = images.shape[2] // 8, images.shape[3] // 8
        maps = nn.functional.interpolate(self.maps, size=size, mode="bilinear")
        return maps[:, :38], maps[:, 38:]

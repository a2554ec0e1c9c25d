"""Who is measured inside ComfyUI: the base model alone, ComfyUI's own nodes, Advanced-ControlNet, and this pack."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol
from unittest import mock

import comfy.controlnet
import comfy.model_management
import folder_paths
import torch
from safetensors.torch import save_file
from torch import Tensor

from ...host.conditioning import Unit, apply_unit
from ...host.loading.load import FOLDER, control_from_tensors, load_control
from ...host.loading.precision import Precision
from ..models.random_models import Conditioning, Models, hint
from ..workloads import Use, Workload
from .sampling import HostSide, Prepared

ADVANCED_FOLDER = "ZEROCONV_BENCH_ACN"


class Side(Protocol):
    """One way to sample. name: in the tables."""

    @property
    def name(self) -> str: ...

    def left_out(self, workload: Workload) -> str | None:
        """Why the workload cannot be measured here; None when it can."""
        ...

    def prepare(self, workload: Workload, models: Models) -> Prepared: ...


class HostControls(Protocol):
    """How a pack makes controls and puts them into prompts."""

    def make(self, models: Models) -> Any: ...

    def make_lora(self, models: Models, rank: int) -> Any: ...

    def apply(
        self, unit: Unit, positive: Conditioning, negative: Conditioning
    ) -> tuple[Conditioning, Conditioning]: ...


@dataclass(frozen=True)
class InHost:
    """A side inside ComfyUI; controls: None for the base model alone."""

    name: str
    controls: HostControls | None = None

    def left_out(self, workload: Workload) -> str | None:
        return "a GPU is needed" if workload.low_memory and not torch.cuda.is_available() else None

    def prepare(self, workload: Workload, models: Models) -> Prepared:
        positive, negative = models.prompts()
        if self.controls is not None:
            for use in workload.uses:
                positive, negative = _attach(self.controls, workload, models, use, positive, negative)
        return HostSide(_cached(models.base, workload), positive, negative)


def _attach(
    controls: HostControls,
    workload: Workload,
    models: Models,
    use: Use,
    positive: Conditioning,
    negative: Conditioning,
) -> tuple[Conditioning, Conditioning]:
    control = controls.make_lora(models, workload.scale.rank) if workload.lora else controls.make(models)
    image = hint(workload.batch, 8 * workload.scale.latent, seed=use.number)
    unit = Unit(control, image, use.strength, use.start, use.end)
    if use.positive_only:
        return controls.apply(unit, positive, [])[0], negative
    return controls.apply(unit, positive, negative)


def _cached(model: Any, workload: Workload) -> Any:
    """The MODEL with the workload's step cache, set to leave out a good part of the steps."""
    if workload.cache is None:
        return model
    node = getattr(importlib.import_module("comfy_extras.nodes_easycache"), f"{workload.cache}Node")
    return node.execute(model, reuse_threshold=1.0, start_percent=0.1, end_percent=0.95, verbose=False).args[0]


class Core:
    """ComfyUI's own ControlNet; its apply node and ours give it the same conditionings."""

    def make(self, models: Models) -> Any:
        network = models.core_network(torch.device("meta"))
        network.load_state_dict(models.control, assign=True)
        device = comfy.model_management.get_torch_device()
        cast = comfy.model_management.unet_manual_cast(network.dtype, device)
        return comfy.controlnet.ControlNet(network.requires_grad_(False), load_device=device, manual_cast_dtype=cast)

    def make_lora(self, models: Models, rank: int) -> Any:
        return comfy.controlnet.ControlLora(models.lora(rank))

    def apply(self, unit: Unit, positive: Conditioning, negative: Conditioning) -> tuple[Conditioning, Conditioning]:
        return apply_unit(unit, positive, negative)


@dataclass(frozen=True)
class Ours(Core):
    """This pack."""

    precision: Precision = "auto"

    def make(self, models: Models) -> Any:
        return control_from_tensors(dict(models.control), precision=self.precision)

    def make_lora(self, models: Models, rank: int) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            save_file(models.lora(rank), Path(folder) / "lora.safetensors")
            place = {FOLDER: ([folder], {".safetensors"})}
            with mock.patch.dict(folder_paths.folder_names_and_paths, place):
                return load_control("lora.safetensors", models.base, precision=self.precision)


class Advanced(Core):
    """Advanced-ControlNet's controls and its apply node, on ComfyUI's own network."""

    def make(self, models: Models) -> Any:
        return _advanced("control").convert_to_advanced(super().make(models))

    def make_lora(self, models: Models, rank: int) -> Any:
        return _advanced("control").convert_to_advanced(super().make_lora(models, rank))

    def apply(self, unit: Unit, positive: Conditioning, negative: Conditioning) -> tuple[Conditioning, Conditioning]:
        node = _advanced("nodes_main").AdvancedControlNetApply
        image: Tensor = unit.image
        return node.execute(positive, negative, unit.control, image, unit.strength, unit.start, unit.end).args


@dataclass(frozen=True)
class AdvancedSide(InHost):
    """Left out unless the environment names its folder."""

    def left_out(self, workload: Workload) -> str | None:
        folder = os.environ.get(ADVANCED_FOLDER)
        if not folder or not (Path(folder) / "adv_control").is_dir():
            return f"set {ADVANCED_FOLDER} to the pack's folder"
        return super().left_out(workload)


def _advanced(module: str) -> Any:
    """A module of the pack, from its folder, without starting its nodes."""
    package = "zeroconv_bench_acn"
    if package not in sys.modules:
        sys.modules[package] = ModuleType(package)
        sys.modules[package].__path__ = [os.environ[ADVANCED_FOLDER]]
    return importlib.import_module(f"{package}.adv_control.{module}")


PLAIN, CORE, OURS = InHost("plain"), InHost("core", Core()), InHost("ours", Ours())
OURS_BF16 = InHost("ours in bf16", Ours("bf16"))
"""The ControlNet alone, beside a base model in whatever precision the host chose."""
ADVANCED = AdvancedSide("Advanced-ControlNet", Advanced())

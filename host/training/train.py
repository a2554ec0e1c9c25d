"""Train a ControlNet inside ComfyUI: its folders, progress, previews and Cancel button around our loop."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.utils
import folder_paths
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...controlnet.formats import load_ldm_state_dict
from ...training.pairs.dataset import TrainingSource
from ...training.pairs.prepared import PreparedSource
from ...training.report.progress import Progress
from ...training.report.recorder import Display
from ...training.settings import Settings
from ...training.setup import Job, Training, set_up
from ..controls.control import Control
from ..loading.load import FOLDER, control_from_tensors
from .base_model import ComfyBase, interruptible

TRAININGS = "zeroconv_training"
"""Folder inside ComfyUI's output folder: a folder for each training, and the cache of all."""
PREVIEW_SIZE = 768
"""Longer side of the strip on the node, in pixels."""
ENCODING_PERCENT = 10
"""Part of the node's progress bar that is for the encoding of the pairs."""


@dataclass(frozen=True)
class Trained:
    """The result. strip, curves: IMAGE, (1, H, W, 3)."""

    control: Control
    strip: Tensor
    curves: Tensor


def training_job(name: str, settings: Settings, start: str | None, resume: bool, license: str) -> Job:
    """A training with its files in ComfyUI's folders. start: a file of the `controlnet` folder to continue from."""
    networks = Path(folder_paths.get_folder_paths(FOLDER)[0])
    trainings = Path(folder_paths.get_output_directory()) / TRAININGS
    path = None if start is None else Path(folder_paths.get_full_path_or_raise(FOLDER, start))
    return Job(name, networks, trainings, settings, path, resume, license)


def train_controlnet(parts: tuple[Any, Any, Any], source: TrainingSource | PreparedSource, job: Job) -> Trained:
    """Train, showing progress, and load the result. parts: MODEL, CLIP, VAE.

    Raises the host's interrupt after saving, when Cancel was pressed; ValueError for what cannot be done.
    """
    with torch.inference_mode(False), torch.enable_grad():
        base = ComfyBase(*parts, checkpointing=job.settings.gradient_checkpointing)
        training = set_up(base, source, job, NodeDisplay())
        if training.trainer.run():
            return _finish(training)
        again = "queue again to go on" if job.resume else "turn on Resume and queue again to go on"
        _show_text(f"Saved at step {training.trainer.step}; {again}.")
    comfy.model_management.interrupt_current_processing(False)
    raise comfy.model_management.InterruptProcessingException


class NodeDisplay(Display):
    """Progress from 0 to 100 %, text and samples on the running node."""

    def __init__(self) -> None:
        self._bar, self._percent = comfy.utils.ProgressBar(100), 0.0
        self._strip: Image.Image | None = None

    def encoded(self, done: int, total: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        self._percent = ENCODING_PERCENT * done / (total or 1)
        self._show()
        _show_text(f"Encoding the pairs: {done} of {total}")

    def stepped(self, progress: Progress) -> None:
        self._percent = ENCODING_PERCENT + (100 - ENCODING_PERCENT) * progress.step / progress.steps
        self._show()
        _show_text(str(progress))

    def sampled(self, step: int, strip: Image.Image) -> None:
        self._strip = strip
        self._show()

    def interrupted(self) -> bool:
        return comfy.model_management.processing_interrupted()

    def _show(self) -> None:
        preview = None if self._strip is None else ("PNG", self._strip, PREVIEW_SIZE)
        with interruptible():
            self._bar.update_absolute(self._percent, preview=preview)


def _show_text(text: str) -> None:
    """Show a line on the node that is running, where a front end is connected."""
    from comfy_execution.utils import get_executing_context  # the server, which tests of the loop do not have
    from server import PromptServer

    context = get_executing_context()
    if context is not None and getattr(PromptServer, "instance", None) is not None:
        PromptServer.instance.send_progress_text(text, context.node_id)


def _finish(training: Training) -> Trained:
    recorder = training.recorder
    if not recorder.rows:  # the training was complete before
        recorder.sample(training.trainer)
    control = control_from_tensors(load_ldm_state_dict(recorder.paths.network))
    return Trained(control, _to_image(recorder.strip_image()), _to_image(recorder.curves_image()))


def _to_image(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(picture.convert("RGB"), np.float32) / 255)[None]

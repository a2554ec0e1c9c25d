"""Train a ControlNet inside ComfyUI: its folders, progress, previews and Cancel button around our loop."""

import dataclasses
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
from ...preprocessors.catalogue import preprocessor_of
from ...preprocessors.running import Options, preprocess
from ...training.cache import Cache
from ...training.copy import continue_from, trainable_copy
from ...training.dataset import HintMaker, PairDataset, Preparation, prepare_pairs
from ...training.layouts import Pair, read_folder
from ...training.loop import Trainer
from ...training.memory import check_fits
from ...training.pictures import TensorPicture
from ...training.progress import Progress
from ...training.recorder import Places, Recorder, describe, summary
from ...training.samples import Strip, take_examples
from ...training.settings import Settings
from ..controls.controlnet import ZeroConvControl
from ..loading.load import FOLDER, build_loaded
from ..preprocessing.networks import HostNetworks
from ..preprocessing.run import Progress as EncodingProgress
from .base_model import ComfyBase, interruptible
from .choices import FROM_DATASET, NEW, list_folders

TRAININGS = "zeroconv_training"
"""Folder inside the host's output folder: a folder for each training, and the cache of all."""
PREVIEW_SIZE = 768


@dataclass(frozen=True)
class Source:
    """A dataset as it is wired: pairs found, and how they are made ready. problems: entries that were skipped."""

    pairs: list[Pair]
    problems: list[str]
    preparation: Preparation


@dataclass(frozen=True)
class Job:
    """What to train. start: a file of the `controlnet` folder to continue from, or `NEW`."""

    name: str
    settings: Settings
    start: str = NEW
    resume: bool = True
    license: str = ""


@dataclass(frozen=True)
class Trained:
    """The result. strip, curves: IMAGE, (1, H, W, 3)."""

    control: ZeroConvControl
    strip: Tensor
    curves: Tensor
    report: str


def source_of_folder(name: str, resolution: int, flip: bool, hints: str) -> Source:
    """The dataset in a subfolder of the input folder. Raises ValueError when there is none."""
    if name not in list_folders():
        raise ValueError(f"There is no folder '{name}' in ComfyUI's input folder. Put the dataset there.")
    listing = read_folder(Path(folder_paths.get_input_directory()) / name)
    maker = hint_maker(hints)
    pairs = [dataclasses.replace(pair, hint=None) for pair in listing.pairs] if maker else listing.pairs
    return Source(pairs, listing.problems, Preparation(resolution, flip, maker))


def source_of_images(targets: Tensor, hints: Tensor | None, prompts: str, preparation: Preparation) -> Source:
    """The dataset in IMAGE batches. prompts: a line for each picture, or one for all.

    Raises ValueError when the numbers do not fit, or hints are neither given nor made.
    """
    if hints is not None and hints.shape[0] != targets.shape[0]:
        raise ValueError(f"There are {targets.shape[0]} targets, but {hints.shape[0]} hints. Give one hint for each.")
    if hints is None and preparation.hints is None:
        raise ValueError("Wire hints, or choose a preprocessor that makes them from the targets.")
    lines = prompts.strip().splitlines() or [""]
    if len(lines) not in (1, targets.shape[0]):
        raise ValueError(f"There are {targets.shape[0]} targets, but {len(lines)} prompts. Give one line each, or one.")
    pairs = []
    for number, target in enumerate(targets):
        hint = None if hints is None else TensorPicture(f"hint {number + 1}", hints[number, ..., :3])
        prompt = lines[number % len(lines)].strip()
        pairs.append(Pair(TensorPicture(f"target {number + 1}", target[..., :3]), hint, prompt))
    return Source(pairs, [], preparation)


def hint_maker(method: str) -> HintMaker | None:
    """A preprocessor by name as maker of hints at the size of the picture; None for `FROM_DATASET`."""
    if method == FROM_DATASET:
        return None
    preprocessor, networks = preprocessor_of(method), HostNetworks()

    def make(image: Tensor) -> Tensor:
        return preprocess(preprocessor, image, networks, {}, Options(result_size="input"))

    return HintMaker(method, make)


def train_controlnet(parts: tuple[Any, Any, Any], source: Source, job: Job) -> Trained:
    """Train, showing progress, and load the result. parts: MODEL, CLIP, VAE.

    Raises the host's interrupt after saving, when Cancel was pressed; ValueError for what cannot be done.
    """
    with torch.inference_mode(False), torch.enable_grad():
        base = ComfyBase(*parts, checkpointing=job.settings.gradient_checkpointing)
        trainings = Path(folder_paths.get_output_directory()) / TRAININGS
        places = Places.of(job.name, Path(folder_paths.get_folder_paths(FOLDER)[0]), trainings)
        cache = Cache(trainings / "cache")
        dataset = prepare_pairs(base, source.pairs, source.preparation, cache, EncodingProgress())
        trainer, recorder = _set_up(base, dataset, source, job, places)
        recorder.begin(trainer, job.resume)
        if trainer.run():
            return _finish(trainer, recorder, [*source.problems, *dataset.problems])
    comfy.model_management.interrupt_current_processing(False)
    raise comfy.model_management.InterruptProcessingException


def _set_up(
    base: ComfyBase, dataset: PairDataset, source: Source, job: Job, places: Places
) -> tuple[Trainer, "HostRecorder"]:
    control = trainable_copy(base.unet_weights(), seed=job.settings.seed)
    if job.start != NEW:
        path = folder_paths.get_full_path_or_raise(FOLDER, job.start)
        started, expected = continue_from(load_ldm_state_dict(path)), control.dims
        if started.dims.residual_channels != expected.residual_channels or started.dims.family != expected.family:
            raise ValueError(f"'{job.start}' is for {started.dims.family}, but the MODEL is {base.family}.")
        control = started
    widest = max((sample.cut for sample in dataset.samples), key=lambda cut: cut.width * cut.height)
    if base.device.type != "cpu":
        comfy.model_management.unload_all_models()
        free = comfy.model_management.get_free_memory(base.device)
        size = (widest.height, widest.width)
        need = check_fits(control.dims, job.settings, size, base.unet_bytes(), free)
        base.need = int(need.total - need.base)
    strip = Strip(base, take_examples(dataset))
    recorder = HostRecorder(places, describe(base, len(dataset), job.license), strip, source.preparation.hints)
    return Trainer(base, control, dataset, job.settings, recorder), recorder


class HostRecorder(Recorder):
    """Also shows progress and samples on the node."""

    def begin(self, trainer: Trainer, resume: bool) -> bool:
        self._bar = comfy.utils.ProgressBar(trainer.settings.steps)
        return super().begin(trainer, resume)

    def stepped(self, progress: Progress) -> None:
        super().stepped(progress)
        self._show(progress.step)
        _show_text(str(progress))

    def sample(self, trainer: Trainer) -> None:
        super().sample(trainer)
        self._show(trainer.step)

    def interrupted(self) -> bool:
        return comfy.model_management.processing_interrupted()

    def _show(self, step: int) -> None:
        preview = ("PNG", self.strip_image(), PREVIEW_SIZE) if self.drawn else None
        with interruptible():
            self._bar.update_absolute(step, preview=preview)


def _show_text(text: str) -> None:
    """A line on the node that is running, where a front end is connected."""
    from comfy_execution.utils import get_executing_context  # the server, which tests of the loop have not
    from server import PromptServer

    context = get_executing_context()
    if context is not None and getattr(PromptServer, "instance", None) is not None:
        PromptServer.instance.send_progress_text(text, context.node_id)


def _finish(trainer: Trainer, recorder: HostRecorder, problems: list[str]) -> Trained:
    if not recorder.drawn:  # the training was complete before
        recorder.sample(trainer)
    control = ZeroConvControl(build_loaded(load_ldm_state_dict(recorder.places.network)))
    report = f"{summary(problems, len(trainer.dataset))}\nSaved {recorder.places.network}."
    return Trained(control, _to_image(recorder.strip_image()), _to_image(recorder.curves_image()), report)


def _to_image(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(picture.convert("RGB"), np.float32) / 255)[None]

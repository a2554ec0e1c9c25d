"""Sets up a training, the same for node and command line."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..controlnet.formats import load_ldm_state_dict
from ..controlnet.networks.controlnet import ControlNet
from .base import BaseModel
from .copy import continue_from, trainable_copy
from .export import FileMetadata
from .loop import Trainer
from .memory import check_fits
from .pairs.cache import Cache
from .pairs.dataset import TrainingSource
from .pairs.prepared import PreparedSource
from .processes import Processes
from .report.recorder import Display, Recorder, SilentDisplay, TrainingPaths
from .report.samples import Sampling, Strip, take_examples
from .settings import Settings

CACHE = "cache"
"""Folder of the cache that all trainings in one place share."""


class ManagedBaseModel(BaseModel, Protocol):
    """A base model that shares its device's memory with others."""

    def unet_bytes(self) -> int:
        """Bytes that the UNet occupies."""
        ...

    def free_bytes(self) -> int | None:
        """Bytes that are free on the device when nothing is loaded there; None where it is not counted (CPU)."""
        ...

    def reserve(self, size: int) -> None:
        """Keep `size` bytes free beside the UNet from the next `prepare("train")` on."""
        ...


@dataclass(frozen=True)
class Job:
    """A training: its data, its network and where its files go.

    networks: folder of the finished ControlNets. trainings: folder of everything else, with a folder for each training.
    start: the file of a ControlNet to continue from; None: a new copy of the base model. sampling: of the strips.
    """

    name: str
    networks: Path
    trainings: Path
    settings: Settings
    start: Path | None = None
    resume: bool = True
    license: str = ""
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True)
class Training:
    """A training that is ready to run. resumed: it continues from a saved state. problems: pairs that are left out."""

    trainer: Trainer
    recorder: Recorder
    resumed: bool
    problems: list[str]


def set_up(
    base: ManagedBaseModel,
    source: TrainingSource | PreparedSource,
    job: Job,
    display: Display | None = None,
    processes: Processes | None = None,
) -> Training:
    """Make network, data set, files and trainer; continue a saved training. What cannot be done is said early.

    Raises ValueError for a name that cannot be used, a `start` of another family, pairs that cannot be read, a training
    that does not fit into the memory, or a saved state of another training.
    """
    display, processes = display or SilentDisplay(), processes or Processes()
    paths = TrainingPaths.of(job.name, job.networks, job.trainings)
    if processes.main:
        paths.check_writable(job.resume)
    control = new_network(base, job)
    cache = Cache(job.trainings / CACHE)
    dataset = source.prepare(base, cache, display.encoded, processes)
    reserve_memory(base, control, job.settings, dataset.largest(), processes)
    strip = Strip(base, take_examples(dataset), job.sampling)
    description = FileMetadata(base.family, base.fingerprint, len(dataset), 0, job.license)
    recorder = Recorder(paths, description, strip, source.preparation.hint_maker, display)
    trainer = Trainer(base, control, dataset, job.settings, recorder, processes)
    resumed = recorder.begin(trainer, job.resume)
    return Training(trainer, recorder, resumed, [*source.problems, *dataset.problems])


def new_network(base: ManagedBaseModel, job: Job) -> ControlNet:
    """A new copy of the base model, or the ControlNet to continue from. Raises ValueError when that does not fit."""
    control = trainable_copy(base.unet_weights(), seed=job.settings.seed)
    if job.start is None:
        return control
    started = continue_from(load_ldm_state_dict(job.start))
    ours, theirs = control.dims, started.dims
    if (theirs.family, theirs.residual_channels) == (ours.family, ours.residual_channels):
        return started
    if theirs.family != ours.family:
        raise ValueError(
            f"'{job.start.name}' is for {theirs.family}, but the base model is {base.family}. Choose a ControlNet for "
            f"{base.family} to continue from, or load a base model of {theirs.family}."
        )
    raise ValueError(
        f"'{job.start.name}' has other widths than the base model, though both are {base.family}. Choose another "
        "ControlNet to continue from."
    )


def reserve_memory(
    base: ManagedBaseModel, control: ControlNet, settings: Settings, size: tuple[int, int], processes: Processes
) -> None:
    """Raises ValueError when the training does not fit into the memory of its device."""
    free = base.free_bytes()
    if free is None:
        return
    shards = processes.count if processes.sharded else 1
    need = check_fits(control.dims, settings, size, base.unet_bytes(), free, shards)
    base.reserve(int(need.total - need.base))

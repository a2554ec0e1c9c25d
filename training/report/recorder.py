"""The files of a training: its state, the ControlNet, sample strips, curves."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from PIL import Image

from ...controlnet.formats.files import read_header
from ...storage.names import check_new_name
from ...storage.reading import read_json
from ...storage.writing import remove_abandoned_parts, write_atomically, write_bytes
from ..callbacks import Callbacks, RunningTraining
from ..export import FileMetadata, save_controlnet
from ..loop import Trainer
from ..pairs.dataset import HintMaker
from ..state import load_state, save_state
from .adherence import mean_adherence
from .plot import Series, plot
from .progress import Progress
from .samples import SampleRow, Strip, join_strip


@dataclass(frozen=True)
class TrainingPaths:
    """Where the files of one training go. network: the finished `.safetensors`. folder: everything else."""

    network: Path
    folder: Path

    @classmethod
    def of(cls, name: str, networks: Path, trainings: Path) -> "TrainingPaths":
        """Paths by the training's name. Raises ValueError for a name that would leave the folders."""
        check_new_name(name)
        return cls(networks / f"{name}.safetensors", trainings / name)

    @property
    def state(self) -> Path:
        return self.folder / "state.pt"

    @property
    def curves(self) -> Path:
        return self.folder / "curves.json"

    def check_writable(self, resume: bool) -> None:
        """Raise ValueError when a new training would replace a file that is not its own."""
        if self.network.exists() and not (resume and self.state.is_file()):
            raise ValueError(
                f"'{self.network.name}' exists already. Choose another name, or turn resume on to continue "
                f"a training of this name{'' if self.state.is_file() else ' (no state of one was found)'}."
            )


class Display(Protocol):
    """Progress of a training as node and command line show it. `encoded`, `stepped` and `sampled` may raise to stop."""

    def encoded(self, done: int, total: int) -> None:
        """Called for every pair, then for every prompt, that is ready for training."""

    def stepped(self, progress: Progress) -> None:
        """Called after every step."""

    def sampled(self, step: int, strip: Image.Image) -> None:
        """Called with every new strip of samples."""

    def interrupted(self) -> bool:
        """Whether the user has asked to stop."""
        return False


class SilentDisplay(Display):
    """Shows nothing, and never stops."""


class Recorder(Callbacks):
    """Saves and samples for the loop, and reports to a display.

    hint_maker: makes a hint of a sample, for adherence; None: no such curve.
    """

    def __init__(
        self,
        paths: TrainingPaths,
        description: FileMetadata,
        strip: Strip,
        hint_maker: HintMaker | None = None,
        display: Display | None = None,
    ) -> None:
        self.paths, self._description, self._strip = paths, description, strip
        self._hint_maker, self._display = hint_maker, display or SilentDisplay()
        self._curves: dict[str, list[tuple[int, float]]] = {name: [] for name in ("loss", "adherence", "uncontrolled")}
        self.rows: list[SampleRow] = []

    def begin(self, trainer: Trainer, resume: bool) -> bool:
        """Continue from the saved state if there is one and `resume`. Returns whether it was there.

        A finished training whose ControlNet was not written, or not that of its last step, is written now. Raises
        ValueError when the state is of another training, or the new ControlNet would replace an older file.
        """
        if trainer.processes.main:
            for folder in (self.paths.folder, self.paths.network.parent):
                remove_abandoned_parts(folder)
        if not (resume and self.paths.state.is_file()):
            if trainer.processes.main:
                self.paths.check_writable(resume)
            return False
        try:
            trainer.restore(load_state(self.paths.state))
        except ValueError as error:
            raise ValueError(f"The training in '{self.paths.state}' cannot be continued: {error}") from error
        self._read_curves(trainer.step)
        finished = trainer.step >= trainer.settings.steps
        stale = finished and trainer.processes.main and self._written_step() != trainer.step
        if trainer.processes.any(stale):
            self._write_network(trainer)
        return True

    def stepped(self, progress: Progress) -> None:
        self._curves["loss"].append((progress.step, progress.smoothed))
        self._display.stepped(progress)

    def interrupted(self) -> bool:
        return self._display.interrupted()

    def save(self, training: RunningTraining) -> None:
        state = training.state()
        if training.processes.main:
            self._write_curves()  # before the state, which tells how much of them counts
            save_state(state, self.paths.state)
        if training.step:
            self._write_network(training)

    def lacks_sample(self, step: int) -> bool:
        return not self._strip_path(step).is_file()

    def sample(self, training: RunningTraining) -> None:
        with training.network() as network:
            if not training.processes.main:
                return
            self.rows = self._strip.draw(network, self.interrupted)
        if self._hint_maker is not None:
            controlled, uncontrolled = mean_adherence(self.rows, self._hint_maker)
            self._add_point("adherence", training.step, controlled)
            self._add_point("uncontrolled", training.step, uncontrolled)
        strip = self.strip_image()
        self._write_curves()
        self._write_image(self.curves_image(), self.paths.folder / "curves.png")
        self._write_image(strip, self._strip_path(training.step))  # last: see `lacks_sample`
        self._display.sampled(training.step, strip)

    def strip_image(self) -> Image.Image:
        """The last strip."""
        return join_strip(self.rows)

    def curves_image(self) -> Image.Image:
        """Loss, and adherence with control and without."""
        curves = self._curves
        adherence = [Series("adherence with control", curves["adherence"]), Series("without", curves["uncontrolled"])]
        return plot([[Series("loss, smoothed", curves["loss"])], adherence])

    def _strip_path(self, step: int) -> Path:
        return self.paths.folder / f"samples_{step:06d}.png"

    def _add_point(self, curve: str, step: int, value: float) -> None:
        """Add a point to a curve, in place of one of the same step that a killed process had written."""
        self._curves[curve] = [point for point in self._curves[curve] if point[0] < step] + [(step, value)]

    def _write_network(self, training: RunningTraining) -> None:
        """Every process must call it; the main one writes."""
        weights = training.weights()
        if training.processes.main:
            save_controlnet(self.paths.network, weights, replace(self._description, steps=training.step))

    def _written_step(self) -> int | None:
        """The step that the ControlNet on disk was written at; None when there is no such file."""
        try:
            step = read_header(self.paths.network).metadata.get("zeroconv.steps", "")
        except (OSError, ValueError):
            return None
        return int(step) if step.isdecimal() else None

    def _write_image(self, image: Image.Image, path: Path) -> None:
        write_atomically(path, 0, lambda file: image.save(file, format="PNG"))

    def _write_curves(self) -> None:
        """Write the curves as text, so that other tools can read them."""
        write_bytes(self.paths.curves, json.dumps(self._curves).encode())

    def _read_curves(self, step: int) -> None:
        """Read the curves up to the saved step: what came after it was not saved."""
        if not self.paths.curves.is_file():
            return
        try:
            saved = read_json(self.paths.curves)
            self._curves = {
                name: [(int(at), float(value)) for at, value in saved[name] if at <= step] for name in self._curves
            }
        except (ValueError, LookupError, TypeError) as error:
            raise ValueError(
                f"The curves in '{self.paths.curves}' cannot be read. Delete that file to continue without them; "
                "the training itself is not harmed."
            ) from error

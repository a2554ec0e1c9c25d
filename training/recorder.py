"""What a training leaves on disk: its state, the ControlNet, sample strips, curves."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ..storage.names import check_new_name, name_of
from ..storage.reading import read_json
from ..storage.writing import write_bytes
from .adherence import mean_adherence
from .base import BaseModel
from .dataset import HintMaker
from .export import Description, save_controlnet
from .loop import Trainer
from .plot import Curve, plot
from .progress import Callbacks, Progress
from .samples import Drawn, Strip, join_strip
from .state import load_state, save_state


@dataclass(frozen=True)
class Places:
    """Where the files of one training go. network: the finished `.safetensors`. folder: all else."""

    network: Path
    folder: Path

    @classmethod
    def of(cls, name: str, networks: Path, trainings: Path) -> "Places":
        """Places by the training's name. Raises ValueError for a name that would leave the folders."""
        check_new_name(name)
        return cls(networks / f"{name}.safetensors", trainings / name)

    @property
    def state(self) -> Path:
        return self.folder / "state.pt"

    @property
    def curves(self) -> Path:
        return self.folder / "curves.json"


class Recorder(Callbacks):
    """Saves and samples for the loop; the faces add how they show it.

    maker: makes a hint of a sample, for adherence; None: no such curve.
    """

    def __init__(self, places: Places, description: Description, strip: Strip, maker: HintMaker | None = None) -> None:
        self.places, self._description, self._strip, self._maker = places, description, strip, maker
        self._curves: dict[str, list[tuple[int, float]]] = {name: [] for name in ("loss", "adherence", "free")}
        self.drawn: list[Drawn] = []

    def begin(self, trainer: Trainer, resume: bool) -> bool:
        """Go on from the saved state if there is one and `resume`. Returns whether it was there.

        Raises ValueError when the new ControlNet would replace an older file.
        """
        if resume and self.places.state.is_file():
            self._restore(trainer)
            self._read_curves(trainer.step)
            return True
        if self.places.network.exists() and trainer.processes.main:
            raise ValueError(
                f"'{self.places.network.name}' exists already. Choose another name, or turn resume on to go on with "
                f"a training of this name{'' if self.places.state.is_file() else ' (no state of one was found)'}."
            )
        return False

    def _restore(self, trainer: Trainer) -> None:
        try:
            trainer.restore(load_state(self.places.state))
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError) as error:
            raise ValueError(
                f"{name_of(self.places.state)} is no saved training of this network, or it is damaged. Train under a "
                "new name."
            ) from error

    def stepped(self, progress: Progress) -> None:
        self._curves["loss"].append((progress.step, progress.smoothed))

    def save(self, trainer: Trainer) -> None:
        state, weights = trainer.state(), trainer.weights()
        if not trainer.processes.main:
            return
        save_state(state, self.places.state)
        self._write_curves()
        if trainer.step:
            save_controlnet(self.places.network, weights, self._described(trainer))

    def sample(self, trainer: Trainer) -> None:
        with trainer.network() as network:
            if not trainer.processes.main:
                return
            self.drawn = self._strip.draw(network, self.interrupted)
        if self._maker is not None:
            controlled, free = mean_adherence(self.drawn, self._maker)
            self._curves["adherence"].append((trainer.step, controlled))
            self._curves["free"].append((trainer.step, free))
        self.places.folder.mkdir(parents=True, exist_ok=True)
        self.strip_image().save(self.places.folder / f"samples_{trainer.step:06d}.png")
        self.curves_image().save(self.places.folder / "curves.png")
        self._write_curves()

    def strip_image(self) -> Image.Image:
        """The last strip."""
        return join_strip(self.drawn)

    def curves_image(self) -> Image.Image:
        """Loss, and adherence with control and without."""
        curves = self._curves
        obeying = [Curve("adherence with control", curves["adherence"]), Curve("without", curves["free"])]
        return plot([[Curve("loss, smoothed", curves["loss"])], obeying])

    def _write_curves(self) -> None:
        """As text, so that other tools can read them."""
        write_bytes(self.places.curves, json.dumps(self._curves).encode())

    def _read_curves(self, step: int) -> None:
        """Up to the saved step: what came after it was not kept."""
        if not self.places.curves.exists():
            return
        try:
            content = read_json(self.places.curves)
            for name in self._curves:
                points = content.get(name, [])
                self._curves[name] = [(int(at), float(value)) for at, value in points if at <= step]
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{name_of(self.places.curves)} in the training's folder does not hold the curves of a training. "
                "Delete it to go on without the curves drawn so far."
            ) from error

    def _described(self, trainer: Trainer) -> Description:
        d = self._description
        return Description(d.family, d.base, d.samples, trainer.step, d.licence)


def describe(base: BaseModel, samples: int, licence: str) -> Description:
    """The description of a training that has not begun."""
    return Description(base.family, base.fingerprint, samples, 0, licence)


def summary(problems: list[str], used: int, limit: int = 10) -> str:
    """Sentences about a dataset: how many samples, and which entries were skipped."""
    lines: list[Any] = [f"{used} samples." if not problems else f"{used} samples; {len(problems)} entries skipped:"]
    lines += problems[:limit]
    if len(problems) > limit:
        lines.append(f"... and {len(problems) - limit} more.")
    return "\n".join(lines)

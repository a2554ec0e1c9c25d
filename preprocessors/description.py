"""A preprocessor: a frozen description and a function from photographs to hints.

A method file exports such descriptions; `catalogue.py` lists the files. Everything that is the same for
every method (resolution, padding, RGBA on white, chunks of the batch, where networks live) is done by the
caller, so that `run` stays a function on a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import torch
from torch import Tensor

from .pose.keypoints import PoseFrame

if TYPE_CHECKING:
    import numpy as np

Value = float | int | bool | str
Settings = Mapping[str, Value]

HINTS = (
    "edges",
    "soft edges",
    "lines",
    "scribble",
    "line drawing",
    "pose",
    "segmentation",
    "depth",
    "normals",
    "other",
)


DepthKind = Literal["inverse", "distance", "meters"]
"""What raw depth says: one over the distance, near is large, or the distance, near is small; both but for a scale and
a shift of each picture, or the distance in metres."""


class Networks(Protocol):
    """The loaded networks: a row of weights.toml by name, on its compute device and in its compute dtype."""

    def __call__(self, name: str) -> torch.nn.Module: ...


@dataclass(frozen=True)
class Inputs:
    """The inputs of a method.

    images: (B, H, W, 3) float32 0..1. settings: a value for each of the method's parameters.
    networks: loads what `Preprocessor.weights` names. mask: (B, H, W) 0..1, 1 where masked; only for methods that
    take one (`Preprocessor.takes_mask`).
    """

    images: Tensor
    settings: Settings
    networks: Networks
    mask: Tensor | None = None

    def number(self, name: str) -> float:
        """The value of a setting with a fraction."""
        return float(self.settings[name])

    def whole_number(self, name: str) -> int:
        """The value of a setting without a fraction."""
        return int(self.settings[name])

    def switch(self, name: str) -> bool:
        """Whether a setting is on."""
        return bool(self.settings[name])

    def choice(self, name: str) -> str:
        """The chosen one of a setting's choices."""
        return str(self.settings[name])


@dataclass(frozen=True)
class Hint:
    """The result of a method for a batch of images.

    image: (B, H, W, 3) float32 0..1 (the inpaint hint also -1), on any device.
    labels: (B, H, W) int64, the class of every pixel, 0..254; only of methods that tell classes.
    poses: the people of each image, one frame an image; only of methods that find people.
    depth: (B, H, W) float32, as the network gave it; only of methods that estimate depth.
    """

    image: Tensor
    labels: Tensor | None = None
    poses: list[PoseFrame] | None = None
    depth: Tensor | None = None


Run = Callable[[Inputs], Hint | Tensor]
ByteFunction = Callable[["np.ndarray"], "np.ndarray"]
"""From RGB, (H, W, 3) uint8, to a hint of the same size: (H, W) or (H, W, 3), uint8 or float 0..1."""
InBytes = Callable[[Settings], ByteFunction]
"""The function for a value of each of the method's parameters."""


@dataclass(frozen=True)
class Parameter:
    """One setting of a method and the widget that shows it.

    The type of `default` decides the widget: bool, int, float, or text with `choices` to select from.
    appended: its widget comes last, behind those that all methods share: saved workflows keep values by position.
    """

    name: str
    label: str
    default: Value
    tooltip: str
    minimum: float | int | None = None
    maximum: float | int | None = None
    step: float | int | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""
    appended: bool = False


@dataclass(frozen=True)
class Preprocessor:
    """One way to make a hint.

    id: lower_snake.
    hint: the kind of ControlNet that wants it, one of `HINTS`.
    description: one or two sentences, with what the output's values mean.
    run: makes the hints of a batch: as many as images; their H and W differ only where the description says so. A
    method with `depth` returns its raw depth instead, (B, h, w) float32 at any size: `running.py` makes the hints of
    it when all of the batch is there, since a scale may be that of a whole film.
    weights: rows of weights.toml that must be there.
    aliases: words people search, and the method's names in other programs.
    multiple_of: the sizes that the network needs; the caller pads and cuts off again.
    license: only when the weights restrict their use.
    has_result_size: the node lets the user choose the size of the hint; Canny's inputs are fixed without it.
    takes_mask: `run` needs `Inputs.mask`.
    gives_labels, gives_poses: `run` returns `Hint.labels`, `Hint.poses`.
    depth: what the raw depth of the method says, which has the parameters of `depth_maps.depth_parameters`.
    in_bytes: the same method on the bytes of a picture, for the hints of files; None where it computes in floats. The
    hint of a picture in 8 bits has the same bytes either way.
    """

    id: str
    label: str
    hint: str
    description: str
    run: Run
    parameters: tuple[Parameter, ...] = ()
    weights: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    multiple_of: int = 1
    license: str = ""
    has_result_size: bool = True
    takes_mask: bool = False
    gives_labels: bool = False
    gives_poses: bool = False
    depth: DepthKind | None = None
    in_bytes: InBytes | None = None

    @property
    def node_id(self) -> str:
        """The id of the method's node, which the help page, the pictures and workflows are named after."""
        return "ZeroConv" + "".join(word.capitalize() for word in self.id.split("_"))

    def settings(self, given: Settings | None = None) -> dict[str, Value]:
        """Every parameter's value: the default, or the one `given`.

        Raises ValueError for a name that the method has not, a value outside of its range or its choices.
        """
        values: dict[str, Value] = {parameter.name: parameter.default for parameter in self.parameters}
        for name, value in (given or {}).items():
            if name not in values:
                known = ", ".join(values) or "none"
                raise ValueError(f"{self.label} has no setting '{name}'. Its settings: {known}.")
            values[name] = value
        for parameter in self.parameters:
            _check(self.label, parameter, values[parameter.name])
        return values


def _check(label: str, parameter: Parameter, value: Value) -> None:
    if parameter.choices and value not in parameter.choices:
        raise ValueError(f"{label}: {parameter.name} is '{value}'; choose one of {', '.join(parameter.choices)}.")
    if isinstance(value, (bool, str)):
        return
    if not math.isfinite(value):
        raise ValueError(f"{label}: {parameter.name} is {value}; it must be a finite number.")
    below = parameter.minimum is not None and value < parameter.minimum
    above = parameter.maximum is not None and value > parameter.maximum
    if below or above:
        span = f"{parameter.minimum}..{parameter.maximum}"
        raise ValueError(
            f"{label}: {parameter.name} is {value}; it must be within {span}{parameter.unit and ' '}{parameter.unit}."
        )

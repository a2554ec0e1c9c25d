"""What a preprocessor is: a frozen description and a function from photographs to hints.

A method file exports such descriptions; `catalogue.py` lists the files. Everything that is the same for
every method (resolution, padding, RGBA on white, chunks of the batch, where networks live) is done by the
caller, so that `run` stays a function on a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from .pose.keypoints import PoseFrame

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


class Networks(Protocol):
    """The loaded networks: a row of weights.toml by name, on its compute device and in its compute dtype."""

    def __call__(self, name: str) -> torch.nn.Module: ...


Run = Callable[[torch.Tensor, Settings, Networks], torch.Tensor]
Detect = Callable[[torch.Tensor, Settings, Networks], list[PoseFrame]]


@dataclass(frozen=True)
class Parameter:
    """One setting of a method and the widget that shows it.

    The type of `default` decides the widget: bool, int, float, or text with `choices` to select from.
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


@dataclass(frozen=True)
class Preprocessor:
    """One way to make a hint.

    id: lower_snake; the node's id is `ZeroConv` and the id in CamelCase.
    hint: the kind of ControlNet that wants it, one of `HINTS`.
    description: one or two sentences, with what the output's values mean.
    run: (BHWC float32 0..1 with 3 channels, settings, networks) -> BHWC float32 0..1 of the same B;
        H and W differ only where the description says so.
    weights: rows of weights.toml that must be there.
    aliases: words people search, and the method's names in other programs.
    multiple_of: the sizes that the network needs; the caller pads and cuts off again.
    licence: only when the weights restrict their use.
    takes_mask: then `run` gets a fourth channel, the mask: 1 where the picture is masked.
    gives_labels: then `run` returns a fourth channel, the class of every pixel divided by 255.
    detect: of pose methods; finds the poses that `run` draws.
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
    licence: str = ""
    takes_mask: bool = False
    gives_labels: bool = False
    detect: Detect | None = None

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
    below = parameter.minimum is not None and value < parameter.minimum
    above = parameter.maximum is not None and value > parameter.maximum
    if below or above:
        span = f"{parameter.minimum}..{parameter.maximum}"
        raise ValueError(
            f"{label}: {parameter.name} is {value}; it must be within {span}{parameter.unit and ' '}{parameter.unit}."
        )

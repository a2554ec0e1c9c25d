"""From a network's raw depth to the values of a depth hint."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .description import DepthKind, Parameter, Settings

FINER = ": more gives finer edges, but large surfaces may come apart"
"""The tooltip text about larger network sizes."""

PER_PICTURE, PER_BATCH, FIXED = "per picture", "per batch", "fixed"
AUTO, FLOAT32, FLOAT16 = "auto", "fp32", "fp16"

PRECISION = Parameter(
    "precision",
    "Precision",
    AUTO,
    "How the network computes on a GPU. fp16 is faster and takes half the memory, but the depth may show steps. "
    "auto: fp32, as half precision was not shown to keep the depth.",
    choices=(AUTO, FLOAT32, FLOAT16),
    appended=True,
)

_ROUNDING = 1e-3
_COUNTED = 1 << 20
"""Pixels that are sorted to find a percentile, evenly picked from larger pictures."""
_FARTHEST = 1e6
_UNITS: dict[DepthKind, str] = {
    "inverse": "in the unit of the depth output, where near is large",
    "distance": "in the unit of the depth output, where near is small",
    "meters": "in meters",
}


def depth_parameters(
    kind: DepthKind, near: float, far: float, lower: float = 0.0, upper: float = 100.0
) -> tuple[Parameter, ...]:
    """The settings of how raw depth becomes a hint, the same for all methods.

    near, far: the defaults for fixed limits. lower, upper: the default percentiles, by nearness.
    """

    def percentile(name: str, label: str, default: float, meaning: str) -> Parameter:
        return Parameter(name, label, default, meaning, minimum=0.0, maximum=100.0, step=0.1, unit="%", appended=True)

    def limit(name: str, default: float, color: str) -> Parameter:
        meaning = f"The depth that is {color} where normalize is fixed, {_UNITS[kind]}."
        least = -_FARTHEST if kind == "distance" else 0.0  # all but meters and one over them may be shifted anywhere
        return Parameter(
            name, name.capitalize(), default, meaning, minimum=least, maximum=_FARTHEST, step=0.01, appended=True
        )

    return (
        Parameter(
            "normalize",
            "Normalize",
            PER_PICTURE,
            "What is black and white. per picture: the farthest and the nearest of each picture. per batch: of all "
            "pictures together, so that a film does not flicker. fixed: far and near.",
            choices=(PER_PICTURE, PER_BATCH, FIXED),
            appended=True,
        ),
        limit("near", near, "white"),
        limit("far", far, "black"),
        percentile("lower_percentile", "Lower percentile", lower, "This share of the pixels, the farthest, is black."),
        percentile(
            "upper_percentile",
            "Upper percentile",
            upper,
            "What is nearer than this share of the pixels is white: 98 keeps a few outliers from darkening the rest.",
        ),
        Parameter("invert", "Invert", False, "Near is black instead of white.", appended=True),
        PRECISION,
    )


@dataclass(frozen=True)
class Limits:
    """The depth that becomes black and that which becomes white: (B, 1, 1), or (1, 1, 1) for a whole batch."""

    black: Tensor
    white: Tensor
    flat: Tensor
    """Where both are the same depth, but for the rounding of a network in half precision."""

    def apply(self, depth: Tensor, invert: bool) -> Tensor:
        """Depth (B, h, w) -> 0..1; all black for a picture of one depth."""
        span = (self.white - self.black).masked_fill(self.flat, 1)
        hint = ((depth - self.black) / span).clamp(0, 1).masked_fill(self.flat, 0)
        return 1 - hint if invert else hint

    def of_picture(self, index: int) -> Limits:
        """Those of one picture of the batch."""
        if len(self.black) == 1:
            return self
        part = slice(index, index + 1)
        return Limits(self.black[part], self.white[part], self.flat[part])


def depth_limits(depth: Tensor, kind: DepthKind, settings: Settings) -> Limits:
    """The values of raw depth (B, h, w) that become black and white, by the settings of `depth_parameters`.

    Raises ValueError for limits or percentiles that are the wrong way round.
    """
    lower, upper = float(settings["lower_percentile"]), float(settings["upper_percentile"])
    if lower >= upper:
        raise ValueError(f"lower_percentile is {lower} and upper_percentile {upper}: the lower one must be smaller.")
    if settings["normalize"] == FIXED:
        return _fixed(depth, kind, float(settings["near"]), float(settings["far"]))
    rows = depth.reshape(1 if settings["normalize"] == PER_BATCH else len(depth), -1)
    if kind == "inverse":
        black, white = _percentile(rows, lower), _percentile(rows, upper)
        return Limits(black, white, white - black <= _ROUNDING * white.abs())
    black, white = _percentile(rows, 100 - lower), _percentile(rows, 100 - upper)
    return Limits(black, white, black <= white)


def _fixed(depth: Tensor, kind: DepthKind, near: float, far: float) -> Limits:
    if near == far or (near > far) != (kind == "inverse"):
        order = "larger" if kind == "inverse" else "smaller"
        raise ValueError(f"near is {near} and far is {far}: near must be {order} ({_UNITS[kind]}).")
    black, white = depth.new_full((1, 1, 1), far), depth.new_full((1, 1, 1), near)
    return Limits(black, white, torch.zeros_like(black, dtype=torch.bool))


def _percentile(rows: Tensor, percent: float) -> Tensor:
    """The value below which so many of a row's pixels lie: (B, N) -> (B, 1, 1)."""
    if percent in (0, 100):
        values = rows.amin(1) if percent == 0 else rows.amax(1)
    else:
        picked = rows[:, :: max(1, rows.shape[1] // _COUNTED)]
        values = torch.quantile(picked, percent / 100, dim=1)
    return values.view(-1, 1, 1)


def stretch(depth: Tensor) -> Tensor:
    """Every picture's inverse depth (B, h, w) to the whole range 0..1; all 0 for a picture of one depth."""
    settings = {"normalize": PER_PICTURE, "lower_percentile": 0.0, "upper_percentile": 100.0}
    return depth_limits(depth, "inverse", settings).apply(depth, invert=False)


def check_finite(depth: Tensor) -> None:
    """Raise ValueError where a network's depth has no number."""
    if not math.isfinite(depth.sum(dtype=torch.float64)):
        raise ValueError("The network gave depth that is not a number. Set precision to fp32.")

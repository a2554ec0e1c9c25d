"""Ratios of sides, from measurements within the same few seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..workloads import WORKLOADS
from .timing import Spread, paired, steps_of

Results = Mapping[str, Mapping[str, Any]]
"""Results of one workload, by side."""


def measured(results: Results) -> list[str]:
    """Sides that were not left out."""
    return [name for name, result in results.items() if "left out" not in result]


def step_ratio(results: Results, name: str, other: str) -> Spread | None:
    """A step of one side by a step of another."""
    if not _timed(results, name, other):
        return None
    return paired(steps_of(results[name]["turns"]), steps_of(results[other]["turns"]))


def sampling_ratio(results: Results, name: str, other: str) -> Spread | None:
    """All samplings of a round, with their preparation, of one side by those of another."""
    if not _timed(results, name, other):
        return None
    return paired(_rounds(results[name]), _rounds(results[other]))


def ratio(entry: Mapping[str, Any], name: str, other: str) -> Spread | None:
    """The ratio of two sides: of samplings where the workload's steps differ from each other, else of steps."""
    compare = sampling_ratio if WORKLOADS[entry["name"]].whole else step_ratio
    return compare(entry["results"], name, other)


def seconds_of_step(results: Results, name: str) -> Spread | None:
    return Spread.of(steps_of(results[name]["turns"])) if _timed(results, name) else None


def marginal_seconds(results: Results, name: str) -> Spread | None:
    """The extra time of a step over one without control."""
    plain = beside(name, "plain")
    if not _timed(results, name, plain):
        return None
    pairs = zip(steps_of(results[name]["turns"]), steps_of(results[plain]["turns"]), strict=True)
    return Spread.of([own - without for own, without in pairs])


def beside(name: str, other: str) -> str:
    """Another side, with the same attention function."""
    _, comma, attention = name.partition(", ")
    return f"{other}{comma}{attention}"


def _timed(results: Results, *names: str) -> bool:
    return all(name in results and results[name].get("turns") for name in names)


def _rounds(result: Mapping[str, Any]) -> list[float]:
    """Seconds of every round."""
    turns = (sum(seconds for _, _, seconds in turns) for turns in result["turns"])
    return [opening + steps for opening, steps in zip(result["openings"], turns, strict=True)]

"""A training written down: the `run.toml` of `zeroconv train`.

    comfyui = "/path/to/ComfyUI"
    checkpoint = "base.safetensors"          # a file path
    dataset = "/path/to/pairs"
    name = "my-controlnet"
    output = "/path/for/results"

    [settings]                               # training.settings.Settings
    steps = 5000
    batch = 4

    [objective]                              # training.objective.Objective
    prompt_dropout = 0.5

    [pairs]                                  # training.dataset.Preparation
    resolution = 512
    flip = false

    [sampling]                               # training.samples.Sampling, of the strips
    steps = 20

`start`, a ControlNet file to continue from, `hints`, a preprocessor that makes them from the pictures, `license` and
`resume` may be left out. Paths that do not begin at the root are taken from the folder of the file.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from ..storage.reading import read_toml
from .objective import Objective
from .pairs.dataset import Preparation
from .report.samples import Sampling
from .settings import Settings

REQUIRED = ("comfyui", "checkpoint", "dataset", "name", "output")
PATHS = ("comfyui", "checkpoint", "dataset", "output", "start")
PAIRS = ("resolution", "flip")
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text in quotes"}


@dataclass(frozen=True)
class Plan:
    """One training. Fields as in the file."""

    comfyui: Path
    checkpoint: Path
    dataset: Path
    name: str
    output: Path
    settings: Settings
    resolution: int = 512
    flip: bool = False
    sampling: Sampling = field(default_factory=Sampling)
    start: Path | None = None
    hints: str = ""
    license: str = ""
    resume: bool = True


def read_plan(path: Path) -> Plan:
    """Read a plan. Raises ValueError that names the file, and what of it is missing, unknown or wrong."""
    content = read_toml(path)
    try:
        return _plan(content, path.parent)
    except ValueError as error:
        raise ValueError(f"'{path.name}': {error}") from error


def _plan(content: dict[str, Any], folder: Path) -> Plan:
    """The plan of a parsed file. folder: where it lies."""
    tables = {name: _table(content, name) for name in ("settings", "objective", "pairs", "sampling")}
    missing = [name for name in REQUIRED if name not in content]
    if missing:
        raise ValueError(f"{', '.join(missing)} must be given.")
    _check("", content, {*REQUIRED, "start", "hints", "license", "resume"})
    _check("settings", tables["settings"], {f.name for f in fields(Settings)} - {"objective"})
    _check("objective", tables["objective"], {f.name for f in fields(Objective)})
    _check("sampling", tables["sampling"], {f.name for f in fields(Sampling)})
    _check("pairs", tables["pairs"], set(PAIRS))
    content = {"license": "", "hints": "", "resume": True, **content}
    for name, value in content.items():
        _check_type(name, value, bool if name == "resume" else str)
    paths = {name: folder / content.pop(name) for name in PATHS if name in content}
    objective = _build(Objective, "objective", tables["objective"])
    settings = _build(Settings, "settings", {**tables["settings"], "objective": objective})
    sampling = _build(Sampling, "sampling", tables["sampling"])
    preparation = _build(Preparation, "pairs", tables["pairs"])
    return Plan(
        settings=settings,
        sampling=sampling,
        resolution=preparation.resolution,
        flip=preparation.flip,
        **paths,
        **content,
    )


T = TypeVar("T")


def _build(kind: type[T], name: str, table: dict[str, Any]) -> T:
    """A dataclass from a table, whose values must be of the type of its defaults."""
    for key, value in table.items():
        default = next(f.default for f in fields(kind) if f.name == key)  # pyright: ignore[reportArgumentType]
        if isinstance(default, bool | int | float | str):
            _check_type(f"{key} in [{name}]", value, type(default))
    return kind(**table)


def _check_type(name: str, value: Any, kind: type) -> None:
    kinds = (int, float) if kind is float else (kind,)
    if type(value) not in kinds:
        raise ValueError(f"{name} must be {WORDS[kind]}, not {value!r}.")


def _table(content: dict[str, Any], name: str) -> dict[str, Any]:
    table = content.pop(name, {})
    if not isinstance(table, dict):
        raise ValueError(f"'{name}' must be a table: [{name}].")
    return table


def _check(name: str, table: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(table.keys() - known)
    if unknown:
        where = f"[{name}]" if name else "the file"
        raise ValueError(f"{where} has unknown entries: {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")

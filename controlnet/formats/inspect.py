"""Say what a ControlNet file is: from its header, and whether its weights are numbers."""

import re
from collections import Counter
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

from ...storage.names import name_of, printable
from . import recognise
from .files import not_finite_in, read_header
from .format import Format
from .ldm import DIFFERENCE
from .pooling import find_pooling

HINTS_BY_NAME = {
    "canny": ("canny",),
    "depth": ("depth_anything_v2", "midas_depth"),
    "hed": ("hed",),
    "softedge": ("hed", "pidinet"),
    "scribble": ("scribble", "fake_scribble"),
    "lineart": ("lineart", "lineart_anime"),
    "mlsd": ("mlsd",),
    "openpose": ("openpose",),
    "pose": ("openpose",),
    "normal": ("normal_bae", "midas_normals"),
    "seg": ("uniformer",),
    "shuffle": ("shuffle",),
    "tile": ("tile_resample",),
    "inpaint": ("inpaint",),
}
"""Preprocessors that fit a file with such a word in its name; the tensors do not tell what a network was taught."""


@dataclass(frozen=True)
class Report:
    """The report on a file. residuals, hint_channels, union_types, pooled: None where the file alone does not say.

    needs: what runs it, when ZeroConv does not. needs_controlnet: whether it goes with another file. pooled: whether
    residuals are replaced by their mean (shuffle); pooled_by: where that was found. damage: a sentence about weights
    that are NaN or infinite, else empty.
    """

    file: str
    bytes: int
    format: str
    family: str
    parameters: int
    dtypes: dict[str, int]
    hint_channels: int | None
    residuals: int | None
    union_types: tuple[str, ...]
    needs_base: bool
    preprocessors: tuple[str, ...]
    metadata: dict[str, str]
    needs: str = ""
    needs_controlnet: bool = False
    pooled: bool | None = None
    pooled_by: str = ""
    damage: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        """A few lines for people."""
        stored = ", ".join(f"{name} ({count})" for name, count in self.dtypes.items())
        lines = [
            f"{self.file}: {self.format} for {self.family}",
            f"{self.parameters / 1e6:.1f} M parameters, {self.bytes / 2**20:.0f} MB, stored as {stored}",
        ]
        if self.damage:
            lines.append(f"DAMAGED: {self.damage}")
        if self.needs:
            lines.append(self.needs)
        lines += self._shape_lines()
        if self.union_types:
            lines.append(f"kinds of hints: {', '.join(self.union_types)}")
        if self.needs_base:
            lines.append("needs the MODEL wired to ControlNet Load")
        if self.needs_controlnet:
            lines.append("needs its base ControlNet chosen as base_file in ControlNet Load")
        if self.pooled:
            lines.append(f"pooled, and on the prompt's side only (shuffle), says the {self.pooled_by}")
        if self.preprocessors:
            lines.append(f"preprocessors that fit its name: {', '.join(self.preprocessors)}")
        lines += [f"{key}: {value[:200]}" for key, value in sorted(self.metadata.items())]
        return "\n".join(lines)

    def _shape_lines(self) -> list[str]:
        hint = [f"hint of {self.hint_channels} channels"] if self.hint_channels is not None else []
        residuals = [f"{self.residuals} residuals"] if self.residuals is not None else []
        return [", ".join([*hint, *residuals])] if hint or residuals else []


def inspect_file(path: str | Path) -> Report:
    """Describe a file, or a model in several files by any of them.

    Raises ValueError that says what was seen when it is damaged or of no known kind.
    """
    path = Path(path)
    header = read_header(path)
    try:
        form = recognise(header.shapes)
        found = form.describe(header.shapes)
    except ValueError as error:
        raise ValueError(f"{name_of(path)}: {error}") from error
    pooling = find_pooling(path, header.metadata) if form.kind == "controlnet" else None
    return Report(
        file=printable(path.name),
        bytes=header.bytes,
        format=form.label,
        family=found.family,
        parameters=sum(prod(shape) for shape in header.shapes.values()),
        dtypes=dict(Counter(header.dtypes.values()).most_common()),
        hint_channels=found.hint_channels,
        residuals=found.residuals,
        union_types=found.union_types,
        needs_base=form.needs_base or DIFFERENCE in header.shapes,
        preprocessors=_preprocessors(form, path),
        metadata=header.metadata,
        needs=form.needs,
        needs_controlnet=form.needs_controlnet,
        pooled=pooling.pooled if pooling else None,
        pooled_by=pooling.source if pooling else "",
        damage=not_finite_in(path) if form.kind else "",
    )


def _preprocessors(form: Format, path: Path) -> tuple[str, ...]:
    if not form.kind:
        return ()
    words = re.findall(r"[a-z]+", path.stem.lower())
    return tuple(dict.fromkeys(name for word in words for name in HINTS_BY_NAME.get(word, ())))

"""Say what a ControlNet file is, from its header alone where the format allows."""

import hashlib
import re
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ..dimensions import Dimensions, Shapes, family_name, infer_dimensions
from ..union import UNION_TYPES
from . import recognise
from .control_lora import CONTROL_LORA
from .files import PICKLES, damaged, read_state_dict

HASH_BLOCK = 1 << 20

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
    """What a file is. residuals, hint_channels, union_types: None where the file alone does not say."""

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

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        """A few lines for people."""
        stored = ", ".join(f"{name} ({count})" for name, count in self.dtypes.items())
        lines = [
            f"{self.file}: {self.format} for {self.family}",
            f"{self.parameters / 1e6:.1f} M parameters, {self.bytes / 2**20:.0f} MB, stored as {stored}",
        ]
        if self.residuals is not None:
            lines.append(f"hint of {self.hint_channels} channels, {self.residuals} residuals")
        if self.union_types:
            lines.append(f"kinds of hints: {', '.join(self.union_types)}")
        if self.needs_base:
            lines.append("needs the MODEL wired to Load ControlNet")
        if self.preprocessors:
            lines.append(f"preprocessors that fit its name: {', '.join(self.preprocessors)}")
        lines += [f"{key}: {value[:200]}" for key, value in sorted(self.metadata.items())]
        return "\n".join(lines)


def inspect_file(path: str | Path) -> Report:
    """Describe a file. Raises ValueError that says what was seen when it is damaged or of no known kind."""
    path = Path(path)
    shapes, dtypes, metadata = _read_header(path)
    form = recognise(shapes)
    dims = None if form.needs_base else _dimensions(shapes)
    words = re.findall(r"[a-z]+", path.stem.lower())
    return Report(
        file=path.name,
        bytes=path.stat().st_size,
        format=form.label,
        family=dims.family if dims else _lora_family(shapes),
        parameters=sum(torch.Size(shape).numel() for shape in shapes.values()),
        dtypes=dict(Counter(dtypes.values()).most_common()),
        hint_channels=dims.hint_channels if dims else None,
        residuals=len(dims.residual_channels) if dims else None,
        union_types=UNION_TYPES[: dims.union_types] if dims else (),
        needs_base=form is CONTROL_LORA or "difference" in shapes,
        preprocessors=tuple(dict.fromkeys(p for word in words for p in HINTS_BY_NAME.get(word, ()))),
        metadata=metadata,
    )


def file_hash(path: str | Path) -> str:
    """SHA-256 of the whole file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _read_header(path: Path) -> tuple[Shapes, dict[str, str], dict[str, str]]:
    if path.suffix.lower() in PICKLES:
        tensors = read_state_dict(path)
        kinds = {key: str(value.dtype).removeprefix("torch.") for key, value in tensors.items()}
        return {key: tuple(value.shape) for key, value in tensors.items()}, kinds, {}
    if path.stat().st_size == 0:
        read_state_dict(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            shapes = {key: tuple(part.get_shape()) for key, part in slices.items()}
            return shapes, {key: part.get_dtype() for key, part in slices.items()}, dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise damaged(path, error) from error


def _dimensions(shapes: Shapes) -> Dimensions:
    placeholders = {key: torch.empty(shape, device="meta") for key, shape in shapes.items() if key != "difference"}
    converted = recognise(shapes).convert(placeholders, None)
    return infer_dimensions({key: tuple(value.shape) for key, value in converted.items()})


def _lora_family(shapes: Shapes) -> str:
    context = next((shape[1] for key, shape in shapes.items() if key.endswith("attn2.to_k.down")), None)
    label = shapes.get("label_emb.0.0.down")
    return family_name(context, label[1] if label else None)

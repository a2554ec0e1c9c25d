"""Raw depth as files: OpenEXR with every bit of it, or PNG in 16 bits."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from torch import Tensor

from ..storage.exr import exr_bytes
from ..storage.names import check_new_name, next_number
from ..storage.writing import write_bytes

if TYPE_CHECKING:
    import numpy as np

DepthFormat = Literal["exr", "png16", "png16-mm"]
DEPTH_FORMATS: tuple[DepthFormat, ...] = get_args(DepthFormat)
"""exr: the values themselves in float32. png16: from the smallest to the largest, in 65536 levels. png16-mm: depth in
metres as whole millimetres, which scanners and robots use; what is farther than 65.535 m is white."""

SCALE = "depth"
"""The text in a PNG that says what its levels mean: JSON with the depth at 0 and at 65535."""
_WHITE = 65535
_MILLIMETERS = 1000


@dataclass(frozen=True)
class DepthFileFormat:
    """How raw depth is stored. limits: the depth at 0 and at 65535 of a png16, None for each picture's own."""

    name: DepthFormat = "exr"
    limits: tuple[float, float] | None = None

    @property
    def suffix(self) -> str:
        """The ending of the files' names."""
        return ".exr" if self.name == "exr" else ".png"

    def encode(self, depth: np.ndarray, texts: Mapping[str, str] | None = None) -> bytes:
        """The bytes of a file. depth: (H, W) float32. texts: metadata."""
        if self.name == "exr":
            return exr_bytes(depth, texts or {})
        black, white = self._limits(depth)
        import numpy as np

        span = (white - black) or 1.0
        levels = np.clip((depth.astype(np.float64) - black) / span * _WHITE, 0, _WHITE).round().astype(np.uint16)
        return _png(levels, {SCALE: json.dumps({"black": black, "white": white}), **(texts or {})})

    def _limits(self, depth: np.ndarray) -> tuple[float, float]:
        if self.name == "png16-mm":
            return 0.0, _WHITE / _MILLIMETERS
        return self.limits or (float(depth.min()), float(depth.max()))


def _png(levels: np.ndarray, texts: Mapping[str, str]) -> bytes:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG", pnginfo=info, compress_level=1)
    return file.getvalue()


def save_depth(
    folder: Path,
    name: str,
    depth: Tensor,
    format: DepthFormat,
    texts: Mapping[str, str] | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> list[Path]:
    """Write every picture of raw depth, (B, H, W), under a new number: NAME_00001.exr and so on; returns the paths.

    The pictures of a batch share the scale of a png16, so that a film does not flicker. Nothing is ever overwritten.
    progress: called with (written, in all) before each; may raise to stop. Raises ValueError for a name that is not
    one; OSError when the disk is full.
    """
    first = next_number(folder, check_new_name(name))
    lowest, highest = (float(value) for value in depth.aminmax())
    storage = DepthFileFormat(format, (lowest, highest))
    paths: list[Path] = []
    for index, picture in enumerate(depth.float().cpu().numpy()):
        progress(index, len(depth))
        path = folder / f"{name}_{first + index:05}{storage.suffix}"
        write_bytes(path, storage.encode(picture, texts), tidy=index == 0)
        paths.append(path)
    progress(len(depth), len(depth))
    return paths

"""One channel of float32 as OpenEXR: uncompressed scan lines, which every reader knows.

Written here because OpenCV's writer is switched off unless an environment variable is set before it is loaded, or left
out of its build. Source: "OpenEXR File Layout", openexr.com.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

CHANNEL = "Y"
"""A picture of one channel: what Nuke, Blender, OpenCV and FFmpeg open. A lone `Z` is refused by the last two."""
_MAGIC, _VERSION = 20000630, 2
_FLOAT = 2
_SCAN_LINE_NUMBERS = 8
"""Bytes before the values of each line: its number and its size."""
LONGEST_NAME = 31
"""Characters of an attribute's name, without a flag that old readers do not know."""


def exr_bytes(values: np.ndarray, texts: Mapping[str, str]) -> bytes:
    """The file of (H, W) float32. texts: attributes, by names of up to `LONGEST_NAME` characters."""
    import numpy as np

    height, width = values.shape
    header = _header(height, width, texts)
    line = np.dtype([("number", "<i4"), ("bytes", "<i4"), ("values", "<f4", (width,))])
    lines = np.empty(height, line)
    lines["number"], lines["bytes"], lines["values"] = np.arange(height), 4 * width, values
    first = len(header) + _SCAN_LINE_NUMBERS * height
    places = (first + line.itemsize * np.arange(height, dtype=np.uint64)).astype("<u8")
    return header + places.tobytes() + lines.tobytes()


def _header(height: int, width: int, texts: Mapping[str, str]) -> bytes:
    channel = CHANNEL.encode() + b"\0" + struct.pack("<iB3xii", _FLOAT, 0, 1, 1) + b"\0"
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    attributes = [
        ("channels", "chlist", channel),
        ("compression", "compression", b"\0"),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
        *((name, "string", text.encode()) for name, text in texts.items()),
    ]
    return struct.pack("<2i", _MAGIC, _VERSION) + b"".join(map(_attribute, *zip(*attributes, strict=True))) + b"\0"


def _attribute(name: str, kind: str, value: bytes) -> bytes:
    return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value

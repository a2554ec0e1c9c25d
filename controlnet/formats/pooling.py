"""Whether a ControlNet is pooled: every residual replaced by its mean over the picture, as the shuffle network wants.

The tensors do not tell it. In order: what the file or its folder states (diffusers' `global_pool_conditions`, the
authors' `global_average_pooling` in a yaml file beside the weights or in metadata), then the file's name. A pooled
network acts on the prompt's side only (ControlNet v1.1, README on Shuffle; diffusers and sd-webui do so).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...storage.reading import TEXT_BYTES, read_text
from .folder import folder_config

STATEMENTS = ("global_average_pooling", "global_pool_conditions")
YAML_LINE = re.compile(rf"[ \t]*{STATEMENTS[0]}[ \t]*:[ \t]*(true|false)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Pooling:
    """pooled: whether. source: where that was found, for people."""

    pooled: bool
    source: str


def find_pooling(path: Path, metadata: Mapping[str, str]) -> Pooling:
    """Find out whether a ControlNet file is pooled. Raises ValueError when its folder's config cannot be read."""
    for name in STATEMENTS:
        for key, text in metadata.items():
            if key.rpartition(".")[2] == name:
                return Pooling(text.strip().lower() == "true", "metadata of the file")
    stated = folder_config(path).get(STATEMENTS[1])
    if isinstance(stated, bool):
        return Pooling(stated, "config.json")
    stated = _yaml_statement(path.with_suffix(".yaml"))
    if stated is not None:
        return Pooling(stated, "yaml file beside it")
    words = re.split(r"[^a-z0-9]+", path.stem.lower())
    return Pooling("shuffle" in words, "name of the file")


def _yaml_statement(path: Path) -> bool | None:
    """Read line by line: a pattern over the whole text could go back and forth in it."""
    if not path.is_file() or path.stat().st_size > TEXT_BYTES:
        return None
    for line in read_text(path, errors="replace").splitlines():
        if found := YAML_LINE.match(line):
            return found[1].lower() == "true"
    return None

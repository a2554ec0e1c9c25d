"""Whether a ControlNet is pooled: every residual replaced by its mean over the picture, as the shuffle network wants.

The tensors do not tell it. In order: what the file or its folder states (diffusers' `global_pool_conditions`, the
authors' `global_average_pooling` in a yaml file beside the weights or in metadata), then the file's name. A pooled
network acts on the prompt's side only (ControlNet v1.1, README on Shuffle; diffusers and sd-webui do so).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .folder import MAX_TEXT_BYTES, folder_config

STATEMENTS = ("global_average_pooling", "global_pool_conditions")


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
    if not path.is_file() or path.stat().st_size > MAX_TEXT_BYTES:
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    found = re.search(rf"^\s*{STATEMENTS[0]}\s*:\s*(true|false)\b", text, re.IGNORECASE | re.MULTILINE)
    return None if found is None else found[1].lower() == "true"

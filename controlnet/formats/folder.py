"""The files that belong to a weight file: the shards of a big one, and what a diffusers folder says about it.

diffusers saves a model as a folder: `config.json` beside `diffusion_pytorch_model.safetensors`, or beside
`...-00001-of-00003.safetensors` and its like with an index (`....safetensors.index.json`). Any of these, or the folder
itself, stands for the whole model.
"""

import re
from pathlib import Path
from typing import Any

from ...storage.names import name_of, printable
from ...storage.reading import read_json

SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.\w+)$")
INDEX = ".index.json"
MOST_FILES = 1000
USUAL = "diffusion_pytorch_model"


def weight_files(path: Path) -> list[Path]:
    """All files of the model that a file or a folder stands for, in order.

    Raises FileNotFoundError for a shard that is missing, ValueError for a folder without one clear weight file or an
    index that cannot be read.
    """
    if path.is_dir():
        return weight_files(_choose(path))
    if path.name.endswith(INDEX):
        return _present(path, _indexed(path))
    found = SHARD.match(path.name)
    if found is None:
        return [path]
    stem, _, count, suffix = found.groups()
    if int(count) > MOST_FILES:
        raise ValueError(f"{name_of(path)} is one part of {int(count)}; models have at most {MOST_FILES}.")
    return _present(path, [f"{stem}-{number:05d}-of-{count}{suffix}" for number in range(1, int(count) + 1)])


def is_later_shard(name: str) -> bool:
    """Whether a file is the second or a later part of a model: its first part stands for all in a list."""
    found = SHARD.match(Path(name).name)
    return found is not None and int(found[2]) > 1


def folder_config(path: Path) -> dict[str, Any]:
    """The entries of a diffusers folder's `config.json` that describe the weight file; empty when there is none."""
    folder = path if path.is_dir() else path.parent
    config = folder / "config.json"
    if not config.is_file() or (path.is_file() and not path.name.startswith(USUAL)):
        return {}
    content = read_json(config)
    return content if "_class_name" in content else {}


def _choose(folder: Path) -> Path:
    """The weight file of a folder: the only one, or the usual name before its variants (fp16, non_ema)."""
    names = sorted(item.name for item in folder.iterdir() if item.suffix in (".safetensors", ".bin"))
    first = [name for name in names if name.endswith(".safetensors") and not is_later_shard(name)] or names
    whole = [name for name in first if name == f"{USUAL}.safetensors" or SHARD.match(name)]
    if len(first) == 1 or len(whole) == 1:
        return folder / (first[0] if len(first) == 1 else whole[0])
    seen = printable(", ".join(names[:5])) or "no weight file"
    raise ValueError(f"The folder {name_of(folder)} is not a diffusers model with one weight file; it holds {seen}.")


def _indexed(path: Path) -> list[str]:
    files = read_json(path).get("weight_map")
    names = sorted({str(name) for name in files.values()}) if isinstance(files, dict) else []
    if not 0 < len(names) <= MOST_FILES or any(Path(name).name != name or name in (".", "..") for name in names):
        raise ValueError(f"{name_of(path)} names no weight files beside it. Download it again.")
    return names


def _present(path: Path, names: list[str]) -> list[Path]:
    files = [path.with_name(name) for name in names]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{name_of(path)} is one part of {len(files)}; missing beside it: {printable(', '.join(missing[:5]))}. "
            "Download them too."
        )
    return files

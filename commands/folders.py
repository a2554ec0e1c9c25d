"""Where the command line keeps weights of preprocessors."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

ENVIRONMENT = "ZEROCONV_PREPROCESSORS"


def default_folder() -> Path:
    """The folder of ZEROCONV_PREPROCESSORS, that of the ComfyUI this pack lies in, or one in the user's cache."""
    chosen = os.environ.get(ENVIRONMENT)
    if chosen:
        return Path(chosen)
    pack = Path(__file__).resolve().parents[1]
    if pack.parent.name == "custom_nodes":
        return pack.parents[1] / "models" / "preprocessors"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zeroconv" / "preprocessors"


def add_folder_argument(parser: argparse.ArgumentParser) -> None:
    """`--folder`, the same in all commands."""
    parser.add_argument(
        "--folder",
        type=Path,
        default=None,
        metavar="DIR",
        help=f"folder of the weights (default: ${ENVIRONMENT}, or models/preprocessors of this pack's ComfyUI)",
    )

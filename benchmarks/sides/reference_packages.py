"""Other people's implementations, to compare with: unpacked by scripts/references.py, never installed.

Both functions raise FileNotFoundError where a package has not been unpacked.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType

REFERENCES = Path(__file__).resolve().parents[2] / ".cache" / "references"


def controlnet_aux(module: str) -> ModuleType:
    """A module of the package `controlnet-aux`, such as `open_pose.model`, without what its packages import."""
    if not (REFERENCES / "controlnet_aux").is_dir():
        raise FileNotFoundError(f"No controlnet-aux in {REFERENCES}: run `make setup`.")
    path = REFERENCES
    name = ""
    for part in ("controlnet_aux", *module.split(".")[:-1]):
        path, name = path / part, f"{name}.{part}".lstrip(".")
        if name not in sys.modules:
            package = ModuleType(name)
            package.__path__ = [str(path)]
            sys.modules[name] = package
    _restore_old_scipy_names()
    return importlib.import_module(f"controlnet_aux.{module}")


def reference_file(path: str) -> Path:
    """A file of an unpacked package."""
    file = REFERENCES / path
    if not file.is_file():
        raise FileNotFoundError(f"No {file}: run `make setup`.")
    return file


def _restore_old_scipy_names() -> None:
    """controlnet-aux imports `scipy.ndimage.filters`, which SciPy has dropped."""
    import scipy.ndimage

    if "scipy.ndimage.filters" not in sys.modules:
        filters = ModuleType("scipy.ndimage.filters")
        filters.__dict__["gaussian_filter"] = scipy.ndimage.gaussian_filter
        sys.modules["scipy.ndimage.filters"] = filters

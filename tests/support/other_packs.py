"""Other packs as people have them, from folders that environment variables name; none is needed to run the tests."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from .comfy_host import import_host


def pack_directory(variable: str) -> Path:
    """The folder of a pack; skips the test where the variable is not set. Raises FileNotFoundError for a wrong one."""
    named = os.environ.get(variable)
    if not named:
        pytest.skip(f"{variable} does not name the folder of the pack")
    directory = Path(named)
    if not directory.is_dir():
        raise FileNotFoundError(f"{variable} names '{named}', which is not there")
    return directory


def load_pack(variable: str, name: str) -> ModuleType:
    """The pack's module, imported as ComfyUI imports it, under a name of its own."""
    directory = pack_directory(variable)
    import_host()
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, directory / "__init__.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def load_pack_file(variable: str, file: str) -> ModuleType:
    """One file of a pack, by itself, that needs nothing of the others."""
    path = pack_directory(variable) / file
    import_host()
    spec = importlib.util.spec_from_file_location(f"beside_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module

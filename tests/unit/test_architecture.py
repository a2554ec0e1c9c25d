"""The one direction of imports, held by reading the sources (see DESIGN in CONTRIBUTING: the house)."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HOST_MODULES = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "folder_paths", "nodes", "server"}
ROOMS = {
    "storage": set(),
    "controlnet": {"storage"},
    "preprocessors": {"storage", "controlnet"},
    "training": {"storage", "controlnet", "preprocessors"},
    "host": {"storage", "controlnet", "preprocessors", "training"},
    "commands": {"storage", "controlnet", "preprocessors", "training", "host"},
    "nodes": {"storage", "controlnet", "preprocessors", "training", "host"},
}
"""What each room may import beside itself."""

HEAVY = {"cv2", "transformers", "skimage", "scipy", "kornia", "diffusers", "onnxruntime", "matplotlib"}


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imports(path: Path, top_level_only: bool = False) -> Iterator[str]:
    """Absolute names; relative ones as `.room` of this package. Imports for type checkers do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for child in ast.walk(node)
    }
    nodes = tree.body if top_level_only else ast.walk(tree)
    depth = len(path.relative_to(ROOT).parts)
    for node in nodes:
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""
        elif isinstance(node, ast.ImportFrom) and node.level == depth:
            yield "." + (node.module or ",".join(alias.name for alias in node.names)).split(".")[0]


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_run_one_way(room):
    allowed = {f".{other}" for other in ROOMS[room]}
    for path in sources(room):
        crossing = {name for name in imports(path) if name.startswith(".")}
        assert crossing <= allowed, f"{path.relative_to(ROOT)} imports {sorted(crossing - allowed)}"


@pytest.mark.parametrize("room", ["storage", "controlnet", "preprocessors", "training"])
def test_plain_rooms_do_not_know_the_host(room):
    for path in sources(room):
        known = {name.split(".")[0] for name in imports(path)} & HOST_MODULES
        assert not known, f"{path.relative_to(ROOT)} imports {known}"


@pytest.mark.parametrize("room", ["storage", "controlnet", "host", "commands", "training"])
def test_comfy_api_is_imported_by_nodes_only(room):
    for path in sources(room):
        assert "comfy_api" not in {name.split(".")[0] for name in imports(path)}, path


@pytest.mark.parametrize("room", ROOMS)
def test_no_heavy_library_at_import(room):
    for path in sources(room):
        heavy = {name.split(".")[0] for name in imports(path, top_level_only=True)} & HEAVY
        assert not heavy, f"{path.relative_to(ROOT)} imports {heavy} at its top"


def test_the_package_imports_without_the_host():
    rooms = "zeroconv.controlnet.formats, zeroconv.preprocessors.catalogue, zeroconv.commands"
    code = f"import sys, {rooms}; sys.exit(bool({HEAVY!r} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")

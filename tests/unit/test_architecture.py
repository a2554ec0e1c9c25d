"""The one direction of imports, held by reading the sources (see DESIGN in CONTRIBUTING: the house)."""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

COMFYUI = {"comfy", "comfy_api", "comfy_config", "comfy_execution", "comfy_extras", "folder_paths", "nodes", "server"}
"""ComfyUI's own top modules."""
COMFYUI_BY_ROOM = {"host": COMFYUI - {"comfy_api"}, "nodes": {"comfy_api"}, "benchmarks": COMFYUI}
"""What the rooms that may import ComfyUI take of it; benchmarks measure it."""

ROOMS: dict[str, set[str]] = {
    "storage": set(),
    "controlnet": {"storage"},
    "preprocessors": {"storage"},
    "datasets": {"storage", "controlnet", "preprocessors"},
    "training": {"storage", "controlnet", "preprocessors", "datasets"},
    "host": {"storage", "controlnet", "preprocessors", "datasets", "training"},
    "commands": {"storage", "controlnet", "preprocessors", "datasets", "training", "host"},
    "nodes": {"storage", "controlnet", "preprocessors", "datasets", "training", "host"},
    "comfy_client": set(),
    "demo": {"storage", "controlnet", "training", "comfy_client"},
    "benchmarks": {"storage", "controlnet", "preprocessors", "datasets", "training", "host", "comfy_client", "demo"},
}
"""What each room may import beside itself."""
PRODUCT = [room for room in ROOMS if room != "benchmarks"]
PLAIN = ["storage", "controlnet", "preprocessors", "datasets", "training", "comfy_client", "demo"]

LAYERS: dict[str, dict[str, set[str]]] = {
    "controlnet": {
        "residuals": set(),
        "notation": set(),
        "constants": set(),
        "networks": {"residuals"},
        "formats": {"networks"},
        "hint": {"notation"},
        "strength": {"constants", "hint", "notation", "residuals"},
        "caching": {"networks", "residuals", "strength"},
        "report": {"residuals"},
    },
    "host": {
        "compat": set(),
        "start": set(),
        "packs": set(),
        "sampling": {"compat"},
        "controls": {"compat", "sampling"},
        "settings": {"controls"},
        "conditioning": {"controls", "sampling", "settings"},
        "preview": {"conditioning", "controls"},
        "video_control": {"conditioning"},
        "routes": {"preview"},
        "preprocessing": set(),
        "weights_route": {"preprocessing", "routes"},
        "loading": {"compat", "controls", "preprocessing"},
        "training": {"controls", "loading", "preprocessing"},
    },
}
"""What each part of a room may import of the room's others: folders, and files that lie in none."""

ENTRIES = {"__init__.py": {".nodes"}, "__main__.py": {".commands"}}
"""What the files beside the rooms may import."""

HEAVY = {"cv2", "transformers", "skimage", "scipy", "kornia", "diffusers", "onnxruntime", "matplotlib"}


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


@cache
def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def package_name(path: Path, node: ast.ImportFrom) -> str:
    """The absolute name, under the repository's root, of what a relative import imports from."""
    folders = path.relative_to(ROOT).parts[:-1]
    base = folders[: len(folders) - (node.level - 1)]
    return ".".join([*base, *([node.module] if node.module else [])])


def imports(path: Path, top_level_only: bool = False) -> Iterator[str]:
    """Absolute names; those of this package begin with a dot. Imports for type checkers do not count."""
    tree = syntax(path)
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for child in ast.walk(node)
    }
    for node in tree.body if top_level_only else ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""
        elif isinstance(node, ast.ImportFrom):
            module = package_name(path, node)
            names = [module] if node.module else [f"{module}.{alias.name}".lstrip(".") for alias in node.names]
            yield from (f".{name}" for name in names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (value for value in map(constant, node.args[:1]) if not value.startswith("."))


def constant(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "."


def top_modules(path: Path) -> set[str]:
    """The first part of each import that is not of this package."""
    return {name.split(".")[0] for name in imports(path) if not name.startswith(".")}


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_run_one_way(room):
    allowed = {room, *ROOMS[room]}
    for path in sources(room):
        crossing = {name.split(".")[1] for name in imports(path) if name.startswith(".")} - allowed
        assert not crossing, f"{path.relative_to(ROOT)} imports {sorted(crossing)}"


@pytest.mark.parametrize(("file", "allowed"), ENTRIES.items())
def test_entry_points_only_hand_on(file, allowed):
    assert {name for name in imports(ROOT / file) if name.startswith(".")} == allowed


@pytest.mark.parametrize("room", ROOMS)
def test_comfyui_is_imported_behind_its_door(room):
    """Its internals in `host`, its node API in `nodes`."""
    for path in sources(room):
        known = top_modules(path) & COMFYUI - COMFYUI_BY_ROOM.get(room, set())
        assert not known, f"{path.relative_to(ROOT)} imports {sorted(known)}"


def asks_of_the_host(path: Path) -> Iterator[int]:
    """Lines that try whether the host has something: getattr or hasattr on it, or an import of it that may fail."""
    for node in ast.walk(syntax(path)):
        is_attribute = isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr")
        if is_attribute and ast.unparse(node.args[0]).split(".")[0] in COMFYUI | {"io", "ui"}:
            yield node.lineno
        if isinstance(node, ast.Try):
            tried = [
                name for each in node.body if isinstance(each, ast.Import | ast.ImportFrom) for name in named(each)
            ]
            if COMFYUI & {name.split(".")[0] for name in tried}:
                yield node.lineno


def named(node: ast.Import | ast.ImportFrom) -> list[str]:
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]


@pytest.mark.parametrize("room", COMFYUI_BY_ROOM)
def test_questions_about_the_hosts_version_are_asked_in_one_file(room):
    asked = {path.relative_to(ROOT).as_posix(): list(asks_of_the_host(path)) for path in sources(room)}
    found = {path: lines for path, lines in asked.items() if lines and path != f"{room}/compat.py"}
    assert not found
    if room == "host":
        assert asked["host/compat.py"], "or the test sees nothing"


@pytest.mark.parametrize("room", LAYERS)
def test_layers_inside_a_room(room):
    layers = LAYERS[room]
    for path in sources(room):
        parts = path.relative_to(ROOT / room).parts
        layer = parts[0].removesuffix(".py")
        if parts == ("__init__.py",):
            continue
        assert layer in layers, f"{path.relative_to(ROOT)} is in no layer of {room}"
        inside = {name.split(".")[2] for name in imports(path) if name.startswith(f".{room}.")}
        crossing = inside - {layer} - layers[layer]
        assert not crossing, f"{path.relative_to(ROOT)} imports {sorted(crossing)} of its own room"


@pytest.mark.parametrize("room", LAYERS)
def test_no_arrow_in_the_table_of_layers_is_unused(room):
    used = defaultdict(set)
    for path in sources(room):
        layer = path.relative_to(ROOT / room).parts[0].removesuffix(".py")
        used[layer] |= {name.split(".")[2] for name in imports(path) if name.startswith(f".{room}.")} - {layer}
    assert {layer: used[layer] for layer in LAYERS[room]} == LAYERS[room]


@pytest.mark.parametrize("room", PRODUCT)
def test_nothing_is_done_at_import(room):
    """Modules only make values of their own: folders and routes are registered when the host asks for the nodes."""
    for path in sources(room):
        calls = [node for node in syntax(path).body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
        assert not calls, f"{path.relative_to(ROOT)}:{calls[0].lineno} is work at import"


@pytest.mark.parametrize("room", PRODUCT)
def test_no_heavy_library_at_import(room):
    for path in sources(room):
        heavy = {name.split(".")[0] for name in imports(path, top_level_only=True)} & HEAVY
        assert not heavy, f"{path.relative_to(ROOT)} imports {heavy} at its top"


def test_the_package_imports_without_comfyui():
    modules = [
        ".".join(("zeroconv", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        for room in [*PLAIN, "commands"]
        for path in sources(room)
    ]
    code = f"import importlib, sys; [importlib.import_module(name) for name in {modules!r}]; "
    code += f"sys.exit(', '.join({HEAVY | COMFYUI!r} & set(sys.modules)) or None)"
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

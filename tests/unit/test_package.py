"""The package that pip installs: every folder is in it, and the command line runs from it."""

import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from skimage import data
from support.networks import dimensions, random_network
from zeroconv.storage.reading import read_toml

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "nodes",
    "commands",
    "host",
    "training",
    "datasets",
    "controlnet",
    "preprocessors",
    "storage",
    "comfy_client",
    "demo",
)
"""Folders of the product. Benchmarks, tests and scripts stay in the repository."""


def entries() -> list[Path]:
    """Files and folders of the repository, without what tools and runs have left there."""
    left = {"__pycache__", "output", "node_modules", "build"}
    return [path for path in ROOT.iterdir() if not path.name.startswith(".") and path.name not in left]


def folders_with_python() -> set[str]:
    """Dotted names of every folder of the product that holds Python files."""
    folders = {file.parent for room in ROOMS for file in (ROOT / room).rglob("*.py")}
    return {"zeroconv", *(".".join(("zeroconv", *folder.relative_to(ROOT).parts)) for folder in folders)}


def test_every_folder_of_the_product_is_in_the_package():
    settings = read_toml(ROOT / "pyproject.toml")["tool"]["setuptools"]
    assert set(settings["packages"]) == folders_with_python()


def test_every_folder_of_the_repository_is_a_room_or_known_not_to_be_one():
    assert {path.name for path in entries() if any(path.rglob("*.py"))} == {*ROOMS, "benchmarks", "scripts", "tests"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without the network; what the build leaves behind stays out of the repository."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for entry in entries():
        (source / entry.name).symlink_to(entry)
    code = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(target)], cwd=source, check=True, capture_output=True)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel in it; its dependencies are those of this environment."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, with_pip=False, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = environment / "lib" / version / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    # Bare paths, and not addsitedir: the .pth files in there, and so the editable install, do not count.
    dependencies = "".join(f"{path}\n" for path in sys.path if Path(path).name == "site-packages")
    (packages / "dependencies.pth").write_text(dependencies, encoding="utf-8")
    return environment / "bin" / "python"


def run(python: Path, *arguments: str) -> str:
    """What `python -m zeroconv` prints, in a process that sees nothing of the repository."""
    done = subprocess.run(
        [str(python), "-m", "zeroconv", *arguments], cwd=python.parent, env={}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_installed_package_is_the_one_of_the_wheel(installed: Path):
    code = "import zeroconv; print(zeroconv.__file__)"
    done = subprocess.run([str(installed), "-c", code], cwd="/", env={}, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_relative_to(installed.parents[1])


def test_help_names_the_commands(installed: Path):
    assert "preprocess" in run(installed, "--help")


def test_inspect_runs_from_the_wheel(installed: Path, tmp_path: Path):
    file = tmp_path / "network.safetensors"
    save_file(random_network(dimensions("SD1.5", 32)).state_dict(), file)
    assert "SD1.5" in run(installed, "inspect", str(file))


def test_preprocess_runs_from_the_wheel(installed: Path, tmp_path: Path):
    picture, hints = tmp_path / "in" / "photo.png", tmp_path / "out"
    picture.parent.mkdir()
    Image.fromarray(data.astronaut()[:96, :128]).save(picture)
    run(installed, "preprocess", "canny", "--input", str(picture.parent), "--output", str(hints))
    hint = np.asarray(Image.open(hints / "photo.png"))
    assert hint.shape == (96, 128)
    assert torch.from_numpy(hint.copy()).unique().tolist() == [0, 255]


def test_files_beside_the_python_code_are_in_the_wheel(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in ("js/docs/ZeroConvCanny.md", "preprocessors/weights/weights.toml", "demo/weights/base.safetensors"):
        assert f"zeroconv/{name}" in names


def test_the_stated_floors_are_those_that_are_tested():
    """Python's and PyTorch's in pyproject and README are what `make test-floor` installs; the workflow runs it."""
    project = read_toml(ROOT / "pyproject.toml")["project"]
    torch_floor = re.search(r"^torch==(\d+\.\d+)", (ROOT / "requirements-torch-floor.txt").read_text(), re.M)[1]
    python_floor = re.search(r"^FLOOR_PYTHON \?= python(.*)$", (ROOT / "Makefile").read_text(), re.M)[1]
    assert f"torch>={torch_floor}" in project["dependencies"]
    assert project["requires-python"] == f">={python_floor}"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"Python {python_floor} to " in readme
    assert f"PyTorch {torch_floor} or newer" in readme
    assert "make test-floor" in (ROOT / ".github" / "workflows" / "test.yml").read_text()

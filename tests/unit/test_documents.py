"""Documents name only files and folders that exist, and the index names them all; a release is tested before."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

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


def test_the_index_names_every_document() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    linked = re.findall(r"\]\(([^)]+)\)", index)
    assert not [link for link in linked if not (ROOT / "docs" / link).exists()]
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= set(linked)


def test_a_release_is_tested_and_named_as_its_version() -> None:
    folder = ROOT / ".github" / "workflows"
    tested, published = (yaml.safe_load((folder / name).read_text()) for name in ("test.yml", "publish.yml"))
    assert "workflow_call" in tested[True], "YAML reads `on` as a truth"
    jobs = published["jobs"]
    assert jobs["test"]["uses"] == "./.github/workflows/test.yml"
    assert jobs["publish"]["needs"] == "test"
    assert any("pyproject.toml" in step.get("run", "") for step in jobs["publish"]["steps"])


def test_the_issue_form_asks_for_what_is_needed() -> None:
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "problem.yml").read_text())
    asked = " ".join(str(field["attributes"]) for field in form["body"])
    assert all(word in asked for word in ("ComfyUI", "Versions", "Device", "workflow", "Report ControlNets"))

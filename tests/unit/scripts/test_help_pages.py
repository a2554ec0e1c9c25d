"""Every help page shows a picture; those of preprocessors are what their descriptions say, and say what is needed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.scripts import SCRIPTS, load_script
from zeroconv.preprocessors.catalogue import preprocessors
from zeroconv.preprocessors.description import Preprocessor
from zeroconv.preprocessors.weights.catalogue import weights_of

PAGES = SCRIPTS.parent / "js" / "docs"
SCRIPT = load_script("help_pages")
PICTURE = re.compile(r"!\[(.+)\]\((.+)\)")
SURFACE = SCRIPTS.parent / "tests" / "host" / "nodes" / "public_surface.json"
LARGEST, LARGEST_TOGETHER = 60_000, 4_000_000
"""Bytes."""
METHODS = pytest.mark.parametrize("method", preprocessors().values(), ids=list(preprocessors()))


def test_pages_are_up_to_date() -> None:
    """`python scripts/help_pages.py` writes them."""
    stale = [
        name
        for name, text in SCRIPT.pages().items()
        if not (PAGES / name).is_file() or (PAGES / name).read_text(encoding="utf-8") != text
    ]
    assert not stale


def test_notes_are_of_methods_that_exist() -> None:
    assert set(SCRIPT.read_notes()) == set(preprocessors())


@METHODS
def test_page_has_parameters_weights_and_license(method: Preprocessor) -> None:
    page = (PAGES / f"{method.node_id}.md").read_text(encoding="utf-8")
    assert method.description in page
    assert all(f"(`{parameter.name}`)" in page and parameter.tooltip in page for parameter in method.parameters)
    for row in map(weights_of, method.weights):
        assert row.file in page
        assert row.license in page
        assert row.url() in page
    assert method.license in page


def pictures_of(page: Path) -> list[tuple[str, Path]]:
    """Description and file of every picture of a page."""
    return [(text, PAGES / file) for text, file in PICTURE.findall(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("node", json.loads(SURFACE.read_text(encoding="utf-8")))
def test_page_of_every_node_shows_a_small_picture(node: str) -> None:
    """`python scripts/help_pictures.py` draws them."""
    shown = pictures_of(PAGES / f"{node}.md")
    assert shown
    for description, file in shown:
        assert description.strip()
        assert file.stat().st_size <= LARGEST
        with Image.open(file) as picture:
            picture.load()
            assert min(picture.size) >= 100
            assert np.asarray(picture.convert("L")).std() > 5


def test_pictures_are_small_together_and_all_are_shown() -> None:
    files = set((PAGES / "pictures").iterdir())
    assert sum(file.stat().st_size for file in files) <= LARGEST_TOGETHER
    assert files <= {file for page in PAGES.glob("*.md") for _, file in pictures_of(page)}

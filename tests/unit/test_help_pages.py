"""The help pages of the preprocessors are what their descriptions say today, and say what an artist needs."""

import pytest
from support.scripts import SCRIPTS, load_script
from zeroconv.preprocessors.catalogue import preprocessors
from zeroconv.preprocessors.description import Preprocessor
from zeroconv.preprocessors.weights import weights_of

PAGES = SCRIPTS.parent / "js" / "docs"
SCRIPT = load_script("help_pages")
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
def test_page_has_parameters_weights_and_licence(method: Preprocessor) -> None:
    page = (PAGES / SCRIPT.page_name(method)).read_text(encoding="utf-8")
    assert method.description in page
    assert all(f"(`{parameter.name}`)" in page and parameter.tooltip in page for parameter in method.parameters)
    for row in map(weights_of, method.weights):
        assert row.file in page
        assert row.licence in page
        assert row.url() in page
    assert method.licence in page

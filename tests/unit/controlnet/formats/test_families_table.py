"""The table of families in the README says what the code does."""

from pathlib import Path

import pytest
from support.formats import KINDS
from zeroconv.controlnet.formats import FORMATS

README = Path(__file__).resolve().parents[4] / "README.md"
PATCHING = {"lllite", "qwen_blockwise", "z_image", "anima_lllite", "uni3c"}
"""What runs a kind by patches in the base model; all others give residuals."""
RUN = [form for form in FORMATS if form.kind]


def rows():
    section = README.read_text(encoding="utf-8").split("## Families")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("form", RUN, ids=lambda form: form.id)
def test_every_format_that_is_run_is_in_one_row_as_it_is(form):
    (row,) = [row for row in rows() if form.label in row[1].split(" \u00b7 ")]
    bases, _, network, acts_by, since = row
    assert {*bases.split(", ")} == {kind.family for kind in KINDS.values() if kind.format == form.id}
    assert network == ("own" if form.build else "ComfyUI's")
    assert acts_by == ("patches" if form.kind in PATCHING else "residuals")
    assert since == form.since


def test_no_row_names_another():
    labels = {form.label for form in RUN}
    assert {label for row in rows() for label in row[1].split(" \u00b7 ")} == labels

"""A small part of every robustness test; `make robustness BUDGET=900` tries as much as a quarter of an hour holds."""

import subprocess
import sys
from pathlib import Path

from robustness.report import written
from robustness.run import PARTS

ALONE = [part for part in PARTS if part != "prompts"]
"""Prompts go through the server that the tests have anyway: see test_random_prompts.py."""


def test_a_small_part_of_each_and_the_document_shows_its_tables() -> None:
    """In a process of its own: what ended it would end the tests."""
    script = Path(__file__).with_name("run.py")
    command = [sys.executable, str(script), "--budget", "0", *ALONE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-4000:]}"
    tables = dict(table.split("\n", 1) for table in done.stdout.strip().split("\n\n"))
    for part in ALONE:
        header, *rows = written(part)
        printed = [[cell.strip() for cell in line.strip("|").split("|")] for line in tables[part].splitlines()]
        assert printed[0] == header, "the document shows another table: make robustness WRITE=1"
        assert {row[0] for row in printed[2:]} <= {row[0] for row in rows}

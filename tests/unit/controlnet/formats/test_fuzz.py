"""Damaged and hostile files: 600 of them, each refused with an error of ours, fast, in little memory, without harm.

They are read in a process of its own: its peak memory says whether any of them made it large, and that it lives to
the end says that none crashed it.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CASES = 600
SECONDS_A_FILE = 1.0


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What the reading process reports about all files."""
    folder = tmp_path_factory.mktemp("fuzz")
    script = Path(__file__).resolve().parents[3] / "support" / "fuzz_files.py"
    done = subprocess.run(
        [sys.executable, str(script), str(folder), str(CASES)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_file_was_read(outcome):
    assert outcome["cases"] == CASES
    assert outcome["refused"] + outcome["loaded"] == CASES
    # Both happen: some mutations are harmless, most are not.
    assert outcome["loaded"] > CASES // 100
    assert outcome["refused"] > CASES // 2


def test_refusals_are_errors_of_ours_that_name_the_file(outcome):
    assert outcome["strange"] == []


def test_none_takes_longer_than_a_second(outcome):
    assert outcome["slowest"] < SECONDS_A_FILE


def test_memory_stays_below_twice_the_file(outcome):
    assert outcome["peak_growth"] < 2 * outcome["file_bytes"]


def test_no_code_of_a_pickle_is_run(outcome):
    assert outcome["traps"] > CASES // 20
    assert outcome["sprung"] == 0

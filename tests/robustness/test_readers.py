"""A small part of the fuzzing of all readers; ROBUSTNESS_SECONDS=60 gives each reader a minute."""

import os
import subprocess
import sys
from pathlib import Path


def test_what_leaves_a_reader_is_an_error_of_ours_that_names_the_file() -> None:
    """In a process of its own: a damaged file that ended it would end the tests."""
    script = Path(__file__).with_name("fuzz_readers.py")
    seconds = os.environ.get("ROBUSTNESS_SECONDS", "0")
    done = subprocess.run(
        [sys.executable, str(script), "--seconds", seconds], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-4000:]}"

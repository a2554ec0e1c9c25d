"""Measure every workload on every side: `make bench`, or python benchmarks/run.py --help.

One thread on a CPU, set before torch is imported: two that share a core wait for each other.
"""

import importlib.util
import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parents[1]


def find_package() -> None:
    """Make `zeroconv` importable where nothing was installed: the name of this folder's parent may be any."""
    sys.path.remove(str(ROOT / "benchmarks"))
    if importlib.util.find_spec("zeroconv") is None:
        spec = importlib.util.spec_from_file_location(
            "zeroconv", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        assert spec is not None
        sys.modules["zeroconv"] = importlib.util.module_from_spec(spec)


if __name__ == "__main__":
    find_package()
    from zeroconv.benchmarks.command import main

    main()

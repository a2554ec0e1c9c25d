"""All robustness tests in a given time, and the tables of docs/reliability.md from what they find.

make robustness BUDGET=900          a quarter of an hour, printed
make robustness BUDGET=900 WRITE=1  and written into the document
"""

from __future__ import annotations

import argparse
import importlib
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from robustness.report import Table

PARTS = {"readers": 4, "servers": 2, "kills": 3, "full_disk": 2, "races": 2, "prompts": 6}
"""Modules of this folder, each with `run(seconds, least) -> Table`, and their shares of the time."""
LEAST = 1
"""Tries of each kind, however short the time; of files twenty times, of prompts thirty times as many."""


def main() -> int:
    """Returns 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=60.0, metavar="SECONDS", help="for all parts together")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/reliability.md")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    options = parser.parse_args()
    parts = options.parts or list(PARTS)
    whole = sum(PARTS[part] for part in parts)
    warnings.simplefilter("ignore")
    faults = 0
    for part in parts:
        table: Table = importlib.import_module(f"robustness.{part}").run(options.budget * PARTS[part] / whole, LEAST)
        print(f"\n{part}\n{table}", flush=True)
        for fault in table.faults[:20]:
            print(f"FAULT: {fault}", file=sys.stderr)
        faults += len(table.faults)
        if options.write:
            table.write()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

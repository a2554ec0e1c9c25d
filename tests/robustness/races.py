"""Two that do the same work in the same folder at the same time: both end well, and the file is whole."""

from __future__ import annotations

import functools
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from robustness.jobs import (
    FORK,
    Job,
    all_jobs,
    differences,
    fetch_by_command,
    fetch_by_node,
    leftovers,
    nothing,
    run_to_the_end,
    serve_weights,
)
from robustness.report import Budget, Table

HEADER = ("two at the same time", "tries", "ended with the right files", "errors", "parts left")
Work = Callable[[Path], object]


def run(seconds: float, least: int) -> Table:
    """Each job beside itself, and a fetch by the node beside one by the command."""
    table = Table("races", HEADER)
    with serve_weights() as url:
        pairs: list[tuple[Job, Work]] = [(job, job.run) for job in all_jobs(url)]
        node, other = functools.partial(fetch_by_node, url), functools.partial(fetch_by_command, url)
        pairs.append((Job("fetch by node and command", nothing, node, ("7_model.pth",), ()), other))
        for job, second in pairs:
            _try(job, second, Budget(seconds / len(pairs), least), table)
    return table


def _try(job: Job, second: Work, budget: Budget, table: Table) -> None:
    rng, good, errors, left = random.Random(job.label), 0, 0, 0
    with tempfile.TemporaryDirectory() as place:
        job.prepare(Path(place))
        duration = run_to_the_end(job, Path(place))
        expected = job.files(Path(place))
    while budget.more():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            job.prepare(folder)
            both = [FORK.Process(target=work, args=(folder,)) for work in (job.run, second)]
            both[0].start()
            time.sleep(rng.choice((0.0, rng.uniform(0, duration))))
            both[1].start()
            for process in both:
                process.join()
                errors += bool(process.exitcode)
            if any(process.exitcode for process in both):
                table.faults.append(f"{job.label}: one of two ended with an error")
            other = differences(job.files(folder), expected)
            good += not other
            if other:
                table.faults.append(f"{job.label}: two at once ended otherwise than one: {other}")
            if remaining := leftovers(folder):
                left += len(remaining)
                table.faults.append(f"{job.label}: two at once left {remaining}")
    table.rows.append((job.label, budget.done, good, errors, left))

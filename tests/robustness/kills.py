"""Writers that are killed (kill -9) at any moment: what they had finished is whole, and they go on where they were."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path

from robustness.jobs import FORK, Job, all_jobs, differences, leftovers, run_to_the_end, serve_weights
from robustness.report import Budget, Table

HEADER = ("killed at any moment", "kills", "damaged files", "ended as one never killed", "parts left")
MOST_KILLS = 3
"""Of one job, before it is let end."""


def run(seconds: float, least: int) -> Table:
    """Each job in turn: begun, killed up to three times, begun again, compared with one that nobody killed."""
    table = Table("kills", HEADER)
    with serve_weights() as url:
        jobs = all_jobs(url)
        for job in jobs:
            _try(job, Budget(seconds / len(jobs), least), table)
    return table


def _try(job: Job, budget: Budget, table: Table) -> None:
    rng, kills, damaged, good, left = random.Random(job.label), 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as place:
        job.prepare(Path(place))
        duration = run_to_the_end(job, Path(place))
        expected = job.files(Path(place))
    while budget.more():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            job.prepare(folder)
            for _ in range(rng.randint(1, MOST_KILLS)):
                kills += _kill(job, folder, rng.uniform(0, 1.1 * duration))
                try:
                    job.files(folder)
                except Exception as error:
                    damaged += 1
                    table.faults.append(f"{job.label}: a damaged file after a kill: {error}")
            run_to_the_end(job, folder)
            other = differences(job.files(folder), expected)
            good += not other
            if other:
                table.faults.append(f"{job.label}: ended otherwise than without a kill: {other}")
            if remaining := leftovers(folder):
                left += len(remaining)
                table.faults.append(f"{job.label}: left {remaining}")
    table.rows.append((job.label, kills, damaged, f"{good} of {budget.done}", left))


def _kill(job: Job, folder: Path, after: float) -> bool:
    """Begin a job and kill it. Returns whether it still ran then."""
    process = FORK.Process(target=job.run, args=(folder,))
    process.start()
    process.join(after)
    alive = process.is_alive()
    process.kill()
    process.join()
    time.sleep(0.01)
    return alive

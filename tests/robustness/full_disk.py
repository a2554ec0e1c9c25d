"""A disk that is full at any point of a writer's work: an error that names the file, and nothing half written."""

from __future__ import annotations

import errno
import os
import random
import resource
import signal
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

from robustness.jobs import FORK, Job, all_jobs, differences, leftovers, run_to_the_end, serve_weights
from robustness.report import Budget, Table, complain

HEADER = (
    "full at any point of",
    "points",
    "errors that name the file",
    "still fitted",
    "damaged files",
    "then goes on",
)


def run(seconds: float, least: int) -> Table:
    """Each job on a disk on which no file may be longer than a random limit, or where a flush fails."""
    table = Table("full_disk", HEADER)
    with serve_weights() as url:
        jobs = all_jobs(url)
        for job in jobs:
            _try(job, Budget(seconds / len(jobs), least), table)
    return table


def _try(job: Job, budget: Budget, table: Table) -> None:
    rng, named, fitted, damaged, good = random.Random(job.label), 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as place:
        job.prepare(Path(place))
        run_to_the_end(job, Path(place))
        expected = job.files(Path(place))
        largest = max(path.stat().st_size for path in job.paths(Path(place)))
    while budget.more():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            job.prepare(folder)
            limit, flushes = (rng.randrange(largest), -1) if rng.random() < 0.7 else (-1, rng.randrange(6))
            said = _attempt(job, folder, limit, flushes)
            problem = complain(said, job.names) if said else ""
            if problem:
                table.faults.append(f"{job.label}: limit {limit}, flush {flushes}: {problem}: {said[:300]}")
            named, fitted = named + bool(said and not problem), fitted + (not said)
            left = [name for name in leftovers(folder) if not (job.label.startswith("fetch") and name == "w.pth.part")]
            try:
                job.files(folder)
            except Exception as error:
                damaged += 1
                table.faults.append(f"{job.label}: a damaged file on a full disk: {error}")
            if left:
                table.faults.append(f"{job.label}: a full disk left {left}")
            run_to_the_end(job, folder)
            other = differences(job.files(folder), expected)
            good += not other
            if other:
                table.faults.append(f"{job.label}: after a full disk it ended otherwise: {other}")
    table.rows.append((job.label, budget.done, named, fitted, damaged, f"{good} of {budget.done}"))


def _attempt(job: Job, folder: Path, limit: int, flushes: int) -> str:
    """Run the job in a process of its own. Returns "" when it ended well, else what it said."""
    here, there = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_limited, args=(job, folder, limit, flushes, there))
    process.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        return "Traceback: the process ended without a word"
    finally:
        process.join()


def _limited(job: Job, folder: Path, limit: int, flushes: int, answer: Connection) -> None:
    real, left = os.fsync, [flushes]

    def fsync(number: int) -> None:
        left[0] -= 1
        if left[0] == -1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(number)

    if flushes >= 0:
        os.fsync = fsync
    else:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        job.run(folder)
    except OSError as error:
        answer.send(str(error) or repr(error))
    except Exception as error:
        answer.send(f"Traceback: {error!r}")
    else:
        answer.send("")

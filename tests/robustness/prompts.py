"""Prompts by chance, one after the other, through a real ComfyUI: what grows, what fails, how soon it answers."""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from robustness.random_prompts import Prompt, draw, put_models
from robustness.report import Budget, Table, complain
from zeroconv.comfy_client.server import REPOSITORY, ComfyServer, Interrupted, PromptError
from zeroconv.comfy_client.workflow import Output, Workflow

HEADER = ("of one server", "after the first prompts", "half-way", "at the end")
WARM = 30
"""Prompts after which everything was used once."""
CANCEL_SECONDS = 5.0
ANSWER_SECONDS = 10.0
"""Bounds that hold beside other work on the machine; what was measured stands in the document."""
MOST_MORE = 12
"""Threads and open files at the end beyond those after the first prompts."""
MOST_GROWTH = 1.1
"""Resident memory at the end as a multiple of that half-way."""
SETTLED = 200
"""Prompts until the allocator has room for every size of picture and batch; before, memory still rises to it."""


@dataclass
class Outcome:
    """What became of the prompts. idle: seconds from Cancel until the queue was idle. answers: of routes meanwhile."""

    kinds: Counter[str] = field(default_factory=Counter)
    idle: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    measured: list[dict[str, float]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def run(seconds: float, least: int) -> Table:
    """As many prompts as the time holds, `least` times thirty at least, in a server of their own."""
    with tempfile.TemporaryDirectory() as place:
        packs = {"zeroconv-test-support": REPOSITORY / "tests" / "support" / "pack"}
        server = ComfyServer(Path(place), packs)
        put_models(server.base / "models")
        with server:
            outcome = send(server, Budget(seconds, least * WARM), seconds)
    return table_of(outcome)


def send(server: ComfyServer, budget: Budget, seconds: float) -> Outcome:
    """Send prompts until the budget is used up."""
    rng, outcome, half = random.Random(7), Outcome(), time.monotonic() + seconds / 2
    over = threading.Event()
    asking = threading.Thread(target=_ask, args=(server, outcome, over))
    asking.start()
    try:
        while budget.more():
            prompt = draw(rng)
            outcome.kinds[prompt.kind] += 1
            _send(server, prompt, rng, outcome)
            halfway = len(outcome.measured) == 1 and time.monotonic() > half
            if budget.done == WARM or halfway:
                outcome.measured.append(measure(server))
    finally:
        over.set()
        asking.join()
    outcome.measured.append(measure(server))
    return outcome


def _send(server: ComfyServer, prompt: Prompt, rng: random.Random, outcome: Outcome) -> None:
    try:
        number = server.submit(prompt.workflow.to_api())
        if prompt.cancelled:
            outcome.idle.append(_cancel(server, rng.uniform(0.2, 2.5)))
        server.result(number, 120)
        if not prompt.right:
            outcome.faults.append(f"{prompt.kind}: ran without a word: {prompt.workflow.to_api()}")
    except Interrupted:
        if not prompt.cancelled:
            outcome.faults.append(f"{prompt.kind}: was cancelled by nobody")
    except PromptError as error:
        problem = "failed" if prompt.right else complain(str(error))
        if problem:
            outcome.faults.append(f"{prompt.kind}: {problem}: {ascii(str(error))[:300]}")


def _cancel(server: ComfyServer, after: float) -> float:
    """Press Cancel; returns the seconds until nothing runs."""
    time.sleep(after)
    begin = time.monotonic()
    server.interrupt()
    while server.get("/queue")["queue_running"]:
        time.sleep(0.02)
    return time.monotonic() - begin


def _ask(server: ComfyServer, outcome: Outcome, over: threading.Event) -> None:
    """Ask routes of ours and of ComfyUI's while prompts run, and note how long an answer takes."""
    rng = random.Random(8)
    values = ("0", "1", "20", "1000", "0.001", "-1", "nan", "9" * 50, "x", "", "euler", "karras")
    while not over.wait(0.2):
        names = ("steps", "denoise", "scheduler", "sampler_name", "start_at_step", "end_at_step")
        query = urllib.parse.urlencode({name: rng.choice(values) for name in rng.sample(names, rng.randint(0, 4))})
        for path in (f"/zeroconv/steps?{query}", "/system_stats"):
            begin = time.monotonic()
            try:
                urllib.request.urlopen(server.url + path, timeout=60).read()
            except urllib.error.HTTPError as error:
                if error.code not in (400, 503):
                    outcome.faults.append(f"{path}: answered {error.code}")
            except OSError as error:
                outcome.faults.append(f"{path}: {error}")
            outcome.answers.append(time.monotonic() - begin)


def measure(server: ComfyServer) -> dict[str, float]:
    """Memory, threads, open files and temporary files of the server, with nothing loaded."""
    server.free()
    _bytes_held(server)  # what is let go of is let go of before or after this run
    held = _bytes_held(server)
    folder, process = server.base, Path(f"/proc/{server.process_id()}")
    found = {"tensors held, MB": round(held / 1e6, 1), "temporary pictures": _count(folder / "temp")}
    parts = [path for path in folder.rglob("*") if path.suffix in (".part", ".lock")]
    if process.exists():
        status = dict(
            line.split(":", 1) for line in (process / "status").read_text(encoding="utf-8").splitlines() if ":" in line
        )
        found |= {"resident memory, MB": int(status["VmRSS"].split()[0]) // 1000, "threads": int(status["Threads"])}
        found |= {"open files": len(os.listdir(process / "fd"))}
    return found | {"parts and locks left": len(parts)}


def _bytes_held(server: ComfyServer) -> int:
    flow = Workflow()
    node = flow.add("PreviewAny", source=Output(flow.add("AllocatedBytes", nonce=random.randrange(1 << 30)), 0))
    return int(server.queue(flow.to_api()).outputs[node]["text"][0])


def _count(folder: Path) -> int:
    with contextlib.suppress(OSError):
        return sum(path.is_file() for path in folder.rglob("*"))
    return 0


def table_of(outcome: Outcome) -> Table:
    """The table, with faults where something that must not grow has grown."""
    table = Table("prompts", HEADER, faults=outcome.faults)
    first, half, last = outcome.measured[0], outcome.measured[len(outcome.measured) // 2], outcome.measured[-1]
    for name in last:
        table.rows.append((name, first.get(name, ""), half.get(name, ""), last[name]))
    grown = [name for name in ("threads", "open files") if last.get(name, 0) > first.get(name, 0) + MOST_MORE]
    grown += [name for name in ("parts and locks left",) if last[name]]
    grown += [name for name in ("tensors held, MB",) if last[name] > first[name] + 1]
    if sum(outcome.kinds.values()) >= 2 * SETTLED:
        resident = "resident memory, MB"
        grown += [name for name in (resident,) if last.get(name, 0) > MOST_GROWTH * half.get(name, 0)]
    table.faults += [f"{name}: {first[name]} -> {last[name]}" for name in grown]
    kinds = ", ".join(f"{count} {kind}" for kind, count in outcome.kinds.most_common())
    table.rows.append((f"prompts: {kinds}", WARM, "", sum(outcome.kinds.values())))
    table.rows.append(("prompts that ended otherwise than they must", "", "", len(outcome.faults) - len(grown)))
    for label, seconds, bound in (
        ("Cancel, seconds until idle: median, slowest", outcome.idle, CANCEL_SECONDS),
        ("routes asked meanwhile, seconds: median, slowest", outcome.answers, ANSWER_SECONDS),
    ):
        if seconds:
            slowest = max(seconds)
            table.rows.append((label, "", "", f"{sorted(seconds)[len(seconds) // 2]:.2f}, {slowest:.2f}"))
            table.faults += [f"{label}: {slowest:.1f}"] if slowest > bound else []
    return table

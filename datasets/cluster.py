"""Hints over a Ray cluster: Ray Data hands batches of files to workers that keep their networks loaded."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .hint_maker import Job, Maker, Recipe
from .pipeline import Extent, Pipeline, Report

if TYPE_CHECKING:
    import numpy as np

FILES = 8
"""Images that a worker takes at a time."""


class Worker:
    """One process of the cluster."""

    def __init__(self, recipe: Recipe) -> None:
        self._maker = Maker(recipe)

    def __call__(self, files: dict[str, np.ndarray]) -> dict[str, list[str]]:
        """Make the hints of the columns `source` and `target`; the column `problem` says what is wrong with each."""
        problems: dict[str, str] = {}
        jobs = [(str(source), str(target)) for source, target in zip(files["source"], files["target"], strict=True)]
        try:
            Pipeline(self._maker, Extent(batch=FILES), problems.__setitem__, threading.Event()).run(jobs)
        except (OSError, ImportError) as error:  # an exception of a worker would reach the user wrapped in Ray's own
            problems = {source: problems.get(source, str(error)) for source, _ in jobs}
        sources = [source for source, _ in jobs]
        return {"source": sources, "problem": [problems[source] for source in sources]}


def make_over_cluster(recipe: Recipe, jobs: Sequence[Job], workers: int, report: Report) -> None:
    """Make all hints on `workers` processes, 0 for as many as the cluster has room for.

    The images, the folder of the hints and that of the weights must lie where every machine of the cluster sees them.
    Raises ValueError where Ray is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ValueError(f"--ray needs the package ray: pip install 'zeroconv-controlnet[ray]' ({error})") from error
    if not jobs:
        return
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    gpu = 1 if recipe.device.startswith("cuda") else 0
    room = int(ray.cluster_resources().get("GPU" if gpu else "CPU", 1))
    files = ray.data.from_items(
        [{"source": source, "target": target} for source, target in jobs],
        override_num_blocks=-(-len(jobs) // FILES),
    )
    made = files.map_batches(
        Worker,
        fn_constructor_args=(recipe,),
        batch_size=FILES,
        compute=ray.data.ActorPoolStrategy(size=workers or room),
        num_gpus=gpu or None,
    )
    for row in made.iter_rows():
        report(row["source"], row["problem"])

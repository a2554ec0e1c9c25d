"""Work that writes files, small enough to be begun hundreds of times: killed, on a full disk, by two at once."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import io
import json
import multiprocessing
import os
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from support.formats import KINDS, tensors
from support.toy_base import ToyBase, toy_dataset
from zeroconv.benchmarks.models.official_weights import random_state_dict
from zeroconv.commands import main
from zeroconv.preprocessors.weights import fetch
from zeroconv.preprocessors.weights.catalogue import to_safetensors, weights_of
from zeroconv.preprocessors.weights.fetch import Source, download, get_weights
from zeroconv.storage import writing
from zeroconv.training.copy import trainable_copy
from zeroconv.training.export import FileMetadata
from zeroconv.training.loop import Trainer
from zeroconv.training.pairs.cache import Cache
from zeroconv.training.report.recorder import Recorder, TrainingPaths
from zeroconv.training.report.samples import Sampling, Strip, take_examples
from zeroconv.training.settings import Settings

FORK = multiprocessing.get_context("fork")
"""Children that need not import anything again."""
CONTENT = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(256)) * 256
SHA256 = hashlib.sha256(CONTENT).hexdigest()
CACHED = 12
PICTURES = 5


@dataclass(frozen=True)
class Job:
    """prepare: puts into a new folder what `run` needs. run: does the work, and again what a killed one has not done.

    made: patterns of the files that it makes. names: of which one must be in an error. content: what it made as hashes
    by name, where the names of files are drawn by chance.
    """

    label: str
    prepare: Callable[[Path], object]
    run: Callable[[Path], object]
    made: tuple[str, ...]
    names: tuple[str, ...]
    content: Callable[[Path], dict[str, str]] | None = None

    def files(self, folder: Path) -> dict[str, str]:
        """What there is of it: a hash of the content by name."""
        if self.content is not None:
            return self.content(folder)
        return {str(path.relative_to(folder)): hash_of(path) for path in self.paths(folder)}

    def paths(self, folder: Path) -> list[Path]:
        """The files that there are of it."""
        return sorted(path for pattern in self.made for path in folder.glob(pattern) if path.is_file())


def differences(found: dict[str, str], expected: dict[str, str]) -> str:
    """Names of files that are missing, too many or of other content; empty if none are."""
    names = sorted(found.keys() | expected.keys())
    return ", ".join(name for name in names if found.get(name) != expected.get(name))


def hash_of(path: Path) -> str:
    """A hash of what a file holds. Raises an error for one that is not whole."""
    digest = hashlib.sha256()
    if path.suffix == ".safetensors":
        for name, value in sorted(load_file(path).items()):
            digest.update(name.encode() + value.contiguous().view(torch.uint8).numpy().tobytes())
    elif path.name == "curves.json":  # the loss is smoothed anew after a kill
        curves = json.loads(path.read_text(encoding="utf-8"))
        digest.update(repr({name: [step for step, _ in points] for name, points in curves.items()}).encode())
    elif path.suffix == ".png":
        with Image.open(path) as image:
            digest.update(image.tobytes())
    elif path.suffix == ".pt":
        torch.load(path, weights_only=True)
    else:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def command(*arguments: object) -> None:
    """Run a command of ours as its process would. Raises OSError with what it printed when it failed."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main([str(argument) for argument in arguments])
    if code:
        raise OSError(said.getvalue().strip())


def train(folder: Path) -> None:
    """A training of a toy, or its continuation; every step is saved."""
    base = ToyBase()
    strip = Strip(base, take_examples(toy_dataset(4), 1), Sampling(steps=1))
    paths = TrainingPaths.of("toy", folder, folder / "t")
    recorder = Recorder(paths, FileMetadata("SD1.5", "toy", 4, 0), strip)
    settings = Settings(steps=6, batch=2, learning_rate=1e-3, save_every=1, sample_every=3)
    trainer = Trainer(base, trainable_copy(base.unet_weights()), toy_dataset(4), settings, recorder)
    recorder.begin(trainer, True)
    trainer.run()


def prepare_control(folder: Path) -> None:
    content = tensors(KINDS["ldm sdxl small"].shapes(), torch.float16, 0)
    save_file({key: value.contiguous() for key, value in content.items()}, folder / "net.safetensors")


def convert(folder: Path) -> None:
    command("convert", folder / "net.safetensors", folder / "made.safetensors", "--dtype", "bf16", "--overwrite")


def prepare_pictures(folder: Path) -> None:
    (folder / "in").mkdir()
    rng = np.random.default_rng(0)
    for number in range(PICTURES):
        Image.fromarray(rng.integers(0, 255, (200, 300, 3), np.uint8)).save(folder / "in" / f"{number}.png")


def preprocess(folder: Path) -> None:
    command("preprocess", "canny", "--input", folder / "in", "--output", folder / "out")


def fill_cache(folder: Path) -> None:
    """Every entry in a shard of its own."""
    cache = Cache(folder / "cache")
    for number in range(CACHED):
        generator = torch.Generator().manual_seed(number)
        cache.get(f"{number:02}key", lambda g=generator: {"latents": torch.randn(50_000, generator=g)})
        cache.flush()


def cached_entries(folder: Path) -> dict[str, str]:
    """A hash of each entry of the cache that is there."""
    shards = Cache(folder / "cache").shards
    found = {key: shards.get(key) for key in (f"{number:02}key" for number in range(CACHED))}
    return {
        key: hashlib.sha256(tensors["latents"].numpy().tobytes()).hexdigest()
        for key, tensors in found.items()
        if tensors is not None
    }


def prepare_pickle(folder: Path) -> None:
    torch.save(random_state_dict("teed"), folder / "7_model.pth")


def ignore(done: int, total: int) -> None:
    """Progress that nobody looks at."""


def fetch_hashed(url: str, folder: Path) -> None:
    download(Source(url, len(CONTENT), SHA256), folder / "w.pth", ignore)


def fetch_by_command(url: str, folder: Path) -> None:
    os.environ |= {"HF_ENDPOINT": url, "HF_HUB_OFFLINE": "0"}
    command("fetch", "teed", "--folder", folder)


def fetch_by_node(url: str, folder: Path) -> None:
    """What the node's function does."""
    os.environ |= {"HF_ENDPOINT": url, "HF_HUB_OFFLINE": "0"}
    get_weights(weights_of("teed"), [folder], ignore)


def nothing(folder: Path) -> None:
    """Nothing to prepare."""


def all_jobs(url: str) -> list[Job]:
    """Every kind of writer. url: of `serve_weights`."""
    return [
        Job(
            "training",
            nothing,
            train,
            ("toy.safetensors", "t/toy/samples*", "t/toy/curves.json", "t/toy/state.pt"),
            ("toy.", "state.pt", "curves", "samples"),
        ),
        Job("convert", prepare_control, convert, ("made.safetensors",), ("made.safetensors",)),
        Job("preprocess a folder", prepare_pictures, preprocess, ("out/*",), ("0.png", "1.png", "2.png")),
        Job("cache of a training", nothing, fill_cache, ("cache/*",), ("shard-",), cached_entries),
        Job(
            "weights as safetensors",
            prepare_pickle,
            lambda folder: to_safetensors(folder / "7_model.pth", folder),
            ("7_model.safetensors",),
            ("7_model.safetensors",),
        ),
        Job("fetch", nothing, functools.partial(fetch_hashed, f"{url}/w"), ("w.pth",), ("w.pth", url)),
        Job(
            "fetch without a known hash",
            nothing,
            functools.partial(fetch_by_command, url),
            ("7_model.pth",),
            ("7_model.pth", url),
        ),
    ]


class Slow(http.server.BaseHTTPRequestHandler):
    """A good server: with ranges, and slow enough to be killed at."""

    def do_GET(self) -> None:
        content = CONTENT if self.path == "/w" else teed()
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        with contextlib.suppress(OSError):
            for at in range(start, len(content), 1 << 16):
                self.wfile.write(content[at : at + (1 << 16)])
                time.sleep(0.005)

    def log_message(self, *arguments: object) -> None:
        pass


class QuietServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Says nothing about clients that were killed."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@functools.cache
def teed() -> bytes:
    buffer = io.BytesIO()
    torch.save(random_state_dict("teed"), buffer)
    return buffer.getvalue()


@contextlib.contextmanager
def serve_weights() -> Iterator[str]:
    """The address of a server that has `CONTENT` under /w, and TEED's weights under every other name."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    fetch.PAUSE = 0.02
    torch.set_num_threads(1)
    with QuietServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def leftovers(folder: Path) -> list[str]:
    """Parts and locks that a writer left."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in (".part", ".lock")]


def run_to_the_end(job: Job, folder: Path) -> float:
    """Run a job in a process of its own that takes every part without an owner for abandoned. Returns its seconds."""
    begin = time.monotonic()
    process = FORK.Process(target=_run_late, args=(job, folder))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{job.label} did not end well")
    return time.monotonic() - begin


def _run_late(job: Job, folder: Path) -> None:
    writing.ABANDONED_SECONDS = -1
    job.run(folder)

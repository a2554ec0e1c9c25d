"""A ComfyUI server process with this repository installed as a custom node pack."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
PACK = "comfyui-zeroconv"
START_TIMEOUT_SECONDS = 120
RUN_TIMEOUT_SECONDS = 300
POLL_SECONDS = 0.05

Graph = Mapping[str, Any]


class PromptError(RuntimeError):
    """A run that failed, or a graph that was refused; the text is what the person at the canvas reads."""


class Interrupted(PromptError):
    """A run that was cancelled."""


@dataclass(frozen=True)
class Result:
    """The results of a finished run: per node id, the `ui` values of the node."""

    prompt_id: str
    outputs: Mapping[str, Mapping[str, Any]]
    output_directory: Path

    def files(self, node: str) -> list[Path]:
        """Paths of the files that a saving node wrote, in the order of the batch."""
        saved = [entry for entries in self.outputs[node].values() for entry in entries if "filename" in entry]
        return [self.output_directory / entry["subfolder"] / entry["filename"] for entry in saved]


def comfyui_directory() -> Path:
    """The folder of the ComfyUI to use: COMFYUI_DIR, else the floor version that `make setup` unpacks."""
    return Path(os.environ.get("COMFYUI_DIR") or REPOSITORY / ".cache" / "comfyui").resolve()


def free_port() -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ComfyServer:
    """Runs ComfyUI on the CPU with a base directory of its own, from `with` to the end of the block.

    The base directory gets `custom_nodes` with links to this repository and to `packs`, and `models`,
    `input`, `output` and `user`; models are files of the subfolders of `models`.
    """

    def __init__(self, base: Path, packs: Mapping[str, Path] | None = None, port: int | None = None) -> None:
        self.base = base.resolve()
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = self.base / "server.log"
        self._client = uuid.uuid4().hex
        self._process: subprocess.Popen[bytes] | None = None
        for folder in ("custom_nodes", "input", "output", "user", "temp"):
            (self.base / folder).mkdir(parents=True, exist_ok=True)
        for folder in (
            "checkpoints",
            "diffusion_models",
            "controlnet",
            "vae",
            "text_encoders",
            "preprocessors",
        ):
            (self.base / "models" / folder).mkdir(parents=True, exist_ok=True)
        for name, source in {PACK: REPOSITORY, **(packs or {})}.items():
            link = self.base / "custom_nodes" / name
            if not link.is_symlink():
                link.symlink_to(source, target_is_directory=True)

    def __enter__(self) -> ComfyServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        directory = comfyui_directory()
        if not (directory / "main.py").is_file():
            raise FileNotFoundError(f"No ComfyUI in {directory}: run `make setup`, or set COMFYUI_DIR.")
        command = [sys.executable, str(directory / "main.py")]
        command += ["--cpu", "--disable-auto-launch", "--disable-api-nodes", "--disable-metadata"]
        command += ["--base-directory", str(self.base), "--port", str(self.port)]
        command += ["--database-url", f"sqlite:///{self.base / 'user' / 'comfyui.db'}"]
        if front_end := os.environ.get("FRONT_END_ROOT"):
            command += ["--front-end-root", front_end]
        # Threads that wait must not spin: the browser and other tests share the few cores.
        environment = {
            "OMP_WAIT_POLICY": "PASSIVE",
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "PYTHONUNBUFFERED": "1",
        }
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_until_answering(self._process)

    def _wait_until_answering(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"ComfyUI ended with code {process.returncode} at start:\n{self.log()[-6000:]}")
            try:
                self.get("/system_stats")
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.2)
            else:
                return
        self.stop()
        raise TimeoutError(f"ComfyUI did not answer in {START_TIMEOUT_SECONDS} s:\n{self.log()[-6000:]}")

    def stop(self) -> None:
        """End the server and whatever it started."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def alive(self) -> bool:
        """Whether the server process still runs."""
        return self._process is not None and self._process.poll() is None

    def process_id(self) -> int:
        """Id of the server's process. Raises RuntimeError when it does not run."""
        if self._process is None:
            raise RuntimeError("The server does not run.")
        return self._process.pid

    def wait(self) -> None:
        """Block until the server process ends."""
        if self._process is not None:
            self._process.wait()

    def log(self) -> str:
        """All that the server printed so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def wait_for_log(self, pattern: str, start: int = 0, timeout: float = 60.0) -> None:
        """Wait until the log from character `start` on matches a regular expression."""
        self.wait_until(lambda: re.search(pattern, self.log()[start:]) is not None, f"{pattern!r} in the log", timeout)

    def wait_until(self, happened: Callable[[], bool], what: str, timeout: float = 60.0) -> None:
        """Wait until something that the server does has happened. what: for the message of the TimeoutError."""
        deadline = time.monotonic() + timeout
        while not happened():
            if time.monotonic() > deadline:
                raise TimeoutError(f"Not after {timeout} s: {what}. The log ends:\n{self.log()[-3000:]}")
            time.sleep(POLL_SECONDS)

    def get(self, path: str) -> Any:
        """The JSON that a GET of `path` answers."""
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return json.load(answer)

    def post(self, path: str, content: Graph) -> Any:
        """The JSON that a POST of `content` answers, None for an empty answer."""
        request = urllib.request.Request(
            self.url + path, json.dumps(content).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def object_info(self) -> dict[str, Any]:
        """The description of every node the server knows."""
        return self.get("/object_info")

    def submit(self, graph: Graph) -> str:
        """Put a graph in API format on the queue and return its prompt id."""
        try:
            answer = self.post("/prompt", {"prompt": graph, "client_id": self._client})
        except urllib.error.HTTPError as error:
            raise PromptError(refusal(error.read().decode())) from None
        return answer["prompt_id"]

    def result(self, prompt_id: str, timeout: float = RUN_TIMEOUT_SECONDS) -> Result:
        """Wait for a queued run; raise what its failing node said."""
        deadline = time.monotonic() + timeout
        while True:
            history = self.get(f"/history/{prompt_id}").get(prompt_id)
            if history is not None and history.get("status"):
                break
            if not self.alive():
                raise RuntimeError(f"The server ended during a run:\n{self.log()[-6000:]}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"Run not finished after {timeout} s:\n{self.log()[-3000:]}")
            time.sleep(POLL_SECONDS)
        for kind, detail in history["status"]["messages"]:
            if kind == "execution_interrupted":
                raise Interrupted(f"{detail.get('node_type')} was interrupted")
            if kind == "execution_error":
                raise PromptError(f"{detail['node_type']}: {detail['exception_message'].strip()}")
        return Result(prompt_id, history["outputs"], self.base / "output")

    def queue(self, graph: Graph, timeout: float = RUN_TIMEOUT_SECONDS) -> Result:
        """Run a graph in API format to its end."""
        return self.result(self.submit(graph), timeout)

    def interrupt(self) -> None:
        """Cancel the run in progress, as the button does."""
        self.post("/interrupt", {})

    def free(self) -> None:
        """Let go of all models and of what the last run left, as the button does: before or after the next run."""
        self.post("/free", {"unload_models": True, "free_memory": True})

    def upload(self, source: Path, name: str | None = None) -> str:
        """Put an image into the input folder through the server's route; returns the name it got."""
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name or source.name}"'
        body = f"{head}\r\nContent-Type: image/png\r\n\r\n".encode() + source.read_bytes()
        body += f"\r\n--{boundary}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        request = urllib.request.Request(self.url + "/upload/image", body, kind)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["name"]


def refusal(body: str) -> str:
    """The reasons why the server refused a graph, one a line."""
    answer = json.loads(body)
    lines = [answer["error"]["message"]]
    for node in answer.get("node_errors", {}).values():
        lines += [f"{node['class_type']}: {error['message']}: {error['details']}" for error in node["errors"]]
    return "\n".join(lines)

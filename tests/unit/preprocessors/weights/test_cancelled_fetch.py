"""Cancel within a second, whatever the server does: against local ones that are silent, or send a byte at a time."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from zeroconv.preprocessors.weights import fetch
from zeroconv.preprocessors.weights.fetch import Source, download

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
CANCEL_SECONDS = 3.0
"""One, and what other work on the machine adds; a connection is given up after fifteen."""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy") or name.startswith("HF_")]:
        monkeypatch.delenv(name)


def trickle(connection: socket.socket, text: bytes) -> None:
    for number in range(len(text)):
        connection.sendall(text[number : number + 1])
        time.sleep(0.3)


SERVERS: dict[str, Callable[[socket.socket], object]] = {
    "silent": lambda connection: None,
    "half a header": lambda connection: connection.sendall(HEAD[:20]),
    "a header byte by byte": lambda connection: trickle(connection, HEAD),
    "a header and nothing": lambda connection: connection.sendall(HEAD),
    "the content byte by byte": lambda connection: trickle(connection, HEAD[-1:] + b"\0" * 100),
    "busy": lambda connection: connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"),
}


@contextlib.contextmanager
def serving(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """The port of a server that takes every connection, and keeps it open."""
    connections = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                connections.append(connection)
                if answer is SERVERS["the content byte by byte"]:
                    connection.sendall(HEAD[:-1])
                threading.Thread(target=attempt, args=(connection,), daemon=True).start()

    def attempt(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            for connection in connections:
                connection.close()


class Cancel:
    """The progress of a fetch that is cancelled a while after it began; knows how long it went on after that."""

    def __init__(self, after: float = 0.7) -> None:
        self._at = time.monotonic() + after

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() > self._at:
            raise InterruptedError

    def check(self) -> None:
        late = time.monotonic() - self._at
        assert 0 <= late < CANCEL_SECONDS


def check_cancel(url: str, folder) -> None:
    cancel = Cancel()
    with pytest.raises(InterruptedError):
        download(Source(url, 1_000_000, "0" * 64), folder / "w", cancel)
    cancel.check()
    assert not (folder / "w").exists()


@pytest.mark.parametrize("behaviour", SERVERS)
def test_a_fetch_is_cancelled_within_a_second(tmp_path, behaviour):
    with serving(SERVERS[behaviour]) as port:
        check_cancel(f"http://127.0.0.1:{port}/w", tmp_path)


def test_a_fetch_is_cancelled_while_tls_waits(tmp_path):
    with serving(SERVERS["silent"]) as port:
        check_cancel(f"https://127.0.0.1:{port}/w", tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="a full queue of connections is let wait only there")
def test_a_fetch_is_cancelled_while_nobody_takes_the_connection(tmp_path):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        check_cancel(f"http://127.0.0.1:{listening.getsockname()[1]}/w", tmp_path)
        for one in waiting:
            one.close()


def test_a_fetch_is_cancelled_while_the_name_is_looked_up(tmp_path, monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments: over.wait(30) and [])
    check_cancel("http://weights.invalid/w", tmp_path)
    over.set()


def test_the_thread_of_a_cancelled_fetch_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "TIMEOUT", 1.0)
    with serving(SERVERS["silent"]) as port:
        check_cancel(f"http://127.0.0.1:{port}/w", tmp_path)
        end = time.monotonic() + 5
        while any(thread.name == "zeroconv fetch" for thread in threading.enumerate()):
            assert time.monotonic() < end
            time.sleep(0.1)


@pytest.mark.skipif(os.name != "posix", reason="sends the signal of Ctrl+C")
def test_the_command_ends_at_ctrl_c(tmp_path):
    start = "import sys; from zeroconv.commands import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", start, "fetch", "hed", "--source", "hub", "--folder", str(tmp_path)]
    asked = threading.Event()
    with serving(lambda connection: asked.set()) as port:
        environment = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{port}"}
        done = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        assert asked.wait(60)
        time.sleep(0.5)
        begin = time.monotonic()
        done.send_signal(signal.SIGINT)
        _, said = done.communicate(timeout=30)
    assert time.monotonic() - begin < 10, "with the end of the interpreter"
    assert done.returncode == 130
    assert said.strip() == "zeroconv fetch: stopped."

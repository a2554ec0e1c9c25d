"""The answer of a web server, read in a thread of its own: whoever waits for it can stop at any moment.

A socket waits for a name, a connection, TLS, a header or the next bytes without looking at anything else, and a
time-out short enough to look at Cancel in between would cut slow servers off.
"""

from __future__ import annotations

import queue
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

BLOCK = 1 << 18
WAITING_BLOCKS = 4
"""Blocks that have come and are not yet written."""
POLL_SECONDS = 0.2
"""Between two calls of `waiting`."""


@dataclass(frozen=True)
class Head:
    """Status line and headers of an answer."""

    status: int
    headers: Message


class Answer:
    """The answer to a request, for use in a `with`; the environment's proxies are used.

    timeout: seconds without a byte after which the connection counts as cut. `head` and `blocks` raise what
    `urllib.request` raises. Leaving the `with` waits for nobody: the thread ends by itself at the next byte, or when
    the time is over.
    """

    def __init__(self, request: urllib.request.Request, timeout: float) -> None:
        self._request, self._timeout = request, timeout
        self._came: queue.Queue[Head | bytes | Exception] = queue.Queue(WAITING_BLOCKS)
        self._left = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._read, name="zeroconv fetch", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()

    def head(self, waiting: Callable[[], object]) -> Head:
        """Status and headers. waiting: called several times a second while nothing comes; may raise to stop."""
        head = self._next(waiting)
        assert isinstance(head, Head)
        return head

    def blocks(self, waiting: Callable[[], object]) -> Iterator[bytes]:
        """The content, after `head`, as it comes. waiting: as of `head`."""
        while block := self._next(waiting):
            assert isinstance(block, bytes)
            yield block

    def _next(self, waiting: Callable[[], object]) -> Head | bytes:
        while True:
            try:
                came = self._came.get(timeout=POLL_SECONDS)
            except queue.Empty:
                waiting()
                continue
            if isinstance(came, Exception):
                raise came
            return came

    def _read(self) -> None:
        """The thread."""
        try:
            with _opener().open(self._request, timeout=self._timeout) as response:
                self._give(Head(response.status, response.headers))
                while not self._left.is_set() and (block := response.read1(BLOCK)):
                    self._give(block)
            self._give(b"")
        except ValueError as error:  # of an address that it sends one on to
            self._give(ConnectionError(f"it names an address that is not valid ({error})"))
        except Exception as error:  # whatever it is, it belongs to who waits
            self._give(error)

    def _give(self, came: Head | bytes | Exception) -> None:
        while not self._left.is_set():
            try:
                self._came.put(came, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            return


def _opener() -> urllib.request.OpenerDirector:
    """Opens http and https alone, wherever a server sends one on to.

    Not urlopen, whose shared opener keeps the proxies that were set at its first use.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener

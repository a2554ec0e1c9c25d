"""Stop waiting for long work of OpenCV and numpy, which look at nothing while they run, when the user cancels."""

from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")

INTERVAL = 0.1
"""Seconds between two looks at whether the user cancelled."""


def run_cancellable(work: Callable[[], Result], check: Callable[[], None]) -> Result:
    """Run `work` in a thread, and return or raise what it does; meanwhile this one calls `check` again and again.

    check: raises to cancel; the exception leaves at once, and the work, which cannot be stopped, ends unheard.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # raised again for the caller
            future.set_exception(error)

    # Not a daemon: one that is in the middle of C++ while Python ends would abort the process.
    Thread(target=run, name="zeroconv preprocessor").start()
    while not wait([future], INTERVAL).done:
        check()
    return future.result()

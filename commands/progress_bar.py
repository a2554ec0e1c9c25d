"""How far a command is: a bar with rate and time left on a terminal, elsewhere a line every few seconds."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

LINE_SECONDS = 5.0
"""Between two lines where there is no terminal, as in the log of a job."""


class ProgressBar:
    """Counts what is done, from any thread; writes to stderr."""

    def __init__(self, total: int, unit: str) -> None:
        """unit: what is counted, in the plural."""
        self._total, self._unit = total, unit
        self._done, self._failed = 0, 0
        self._begin = self._last = time.monotonic()
        self._lock = threading.Lock()
        self._bar = _terminal_bar(total, unit) if sys.stderr.isatty() else None

    def advance(self, failed: bool = False) -> None:
        """One more is done, or has failed."""
        with self._lock:
            self._done += 1
            self._failed += failed
            if self._bar is not None:
                if failed:
                    self._bar.set_postfix_str(f"{self._failed} failed", refresh=False)
                self._bar.update(1)
            elif time.monotonic() - self._last >= LINE_SECONDS:
                self._last = time.monotonic()
                print(self._line(), file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """A line above the bar."""
        with self._lock:
            if self._bar is not None:
                self._bar.clear()
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing more is shown."""
        with self._lock:
            if self._bar is not None:
                self._bar.close()

    def _line(self) -> str:
        rate = self._done / max(time.monotonic() - self._begin, 1e-3)
        left = duration((self._total - self._done) / rate)
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{self._done} of {self._total} {self._unit}, {rate:.1f} a second, {left} left{failed}"


class EncodingBar:
    """The bar of the pairs that are encoded, then of the prompts. shown: only one of several processes speaks."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._bar: ProgressBar | None = None

    def report(self, done: int, total: int) -> None:
        """One more of `total` is done; it is the first of another kind when `done` is 1."""
        if not self._shown:
            return
        if self._bar is None or done == 1:
            self.close()
            self._bar = ProgressBar(total, "encoded")
        self._bar.advance()
        if done == total:
            self.close()

    def close(self) -> None:
        """Nothing more is shown."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: 1:02:03, or 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _terminal_bar(total: int, unit: str) -> Any:
    """tqdm, which ComfyUI brings along; None without it."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=total, unit=f" {unit}", file=sys.stderr, dynamic_ncols=True)

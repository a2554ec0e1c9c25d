"""ComfyUI's front end in Debian's Chromium, as a new user has it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from .server import ComfyServer

EXECUTABLES = ("chromium-headless-shell", "chromium")
"""The first that is there: the one without a window of its own does the same with a fifth less work."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.InstalledVersion": "1.30.0"}
"""The settings after a first start, with the tutorial closed."""

VIEW = "() => [app.canvas.ds.scale, ...app.canvas.ds.offset, ...app.graph.nodes.map((n) => [...n.pos, ...n.size])]"
"""Where the graph is seen, and its nodes lie in it."""

REST = """async ([source, argument, frames]) => {
    const read = new Function(`return ${source}`)()
    let value = read(argument)
    for (let still = 0; still < frames; ) {
        await new Promise(requestAnimationFrame)
        const now = read(argument)
        still = JSON.stringify(now) === JSON.stringify(value) ? still + 1 : 0
        value = now
    }
    return value
}"""


def executable() -> str | None:
    """The path of the browser; None where there is none."""
    return next(filter(None, map(shutil.which, EXECUTABLES)), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium with a fresh profile, to the end of the block."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        yield running
        running.close()


def open_canvas(page: Page, server: ComfyServer) -> None:
    """Open the front end and wait until its nodes are there and its first workflow has come to rest."""
    page.goto(server.url)
    page.wait_for_function(
        "() => Boolean(window.app?.graph && window.LiteGraph?.registered_node_types?.KSampler)",
        timeout=120_000,
    )
    at_rest(page, VIEW, frames=60)


def at_rest(page: Page, expression: str, argument: Any = None, frames: int = 15) -> Any:
    """The value of a function of the page once it has stayed as it is over some frames.

    The front end lays things out and answers keys over several frames.
    """
    return page.evaluate(REST, [expression, argument, frames])

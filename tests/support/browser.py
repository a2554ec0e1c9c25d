"""ComfyUI's front end in Debian's Chromium, as a new user has it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright
from zeroconv.comfy_client.server import ComfyServer

EXECUTABLE = "chromium"
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
"""What a person does at the first start: close the tutorial."""

VIEW = "() => JSON.stringify([app.graph.nodes.length, app.canvas.ds.scale, [...app.canvas.ds.offset]])"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium with a fresh profile, to the end of the block."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=shutil.which(EXECUTABLE), args=ARGUMENTS)
        yield running
        running.close()


def open_canvas(page: Page, server: ComfyServer) -> None:
    """Open the front end and wait until its nodes are there and its first workflow has come to rest."""
    page.goto(server.url)
    page.wait_for_function(
        "() => Boolean(window.app?.graph && window.LiteGraph?.registered_node_types?.KSampler)",
        timeout=120_000,
    )
    before = None
    while before != (before := page.evaluate(VIEW)):
        page.wait_for_timeout(1000)

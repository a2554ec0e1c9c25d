"""The route by which a preprocessor's node fetches its weights: what is missing, begin, how far, stop."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from ..preprocessors.catalogue import preprocessor_of, preprocessors
from ..preprocessors.description import Preprocessor
from ..preprocessors.weights.missing import fetch_missing, missing_package, missing_weights
from ..storage.names import printable
from .preprocessing.folders import weight_folders
from .routes import refusal, running_routes

ROUTE = "/zeroconv/weights"
MOST_FETCHES = 2
"""Methods whose files are fetched at a time."""
BEGIN, STOP = "fetch", "cancel"


class Stopped(Exception):
    """Raised in the thread that fetches when the person has cancelled."""


class Fetch:
    """The files of one method on their way, in a thread of their own. error: why it ended early, for people."""

    def __init__(self, names: Sequence[str]) -> None:
        self.done, self.total, self.error = 0, 0, ""
        self._names, self._stop = tuple(names), threading.Event()
        self._thread = threading.Thread(target=self._run, name="zeroconv weights", daemon=True)

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        try:
            fetch_missing(self._names, weight_folders(), self._progress)
        except Stopped:
            pass
        except Exception as error:  # whatever it is, the person who waits shall read it
            self.error = printable(error)

    def _progress(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise Stopped
        self.done, self.total = done, total


class WeightsRoute:
    """Answers the node: GET says what is missing and how far a fetch is, POST begins or stops one."""

    def __init__(self) -> None:
        self._fetches: dict[str, Fetch] = {}

    async def get(self, request: web.Request) -> web.Response:
        return refusal(request) or await self._answer(request, lambda method: None)

    async def post(self, request: web.Request) -> web.Response:
        actions = {BEGIN: self._begin, STOP: self._end}
        action = actions.get(request.query.get("action", ""))
        if action is None:
            return web.json_response({"error": f"action must be {BEGIN} or {STOP}."}, status=400)
        return refusal(request) or await self._answer(request, action)

    async def _answer(self, request: web.Request, action: Any) -> web.Response:
        """Do what is asked for a method, then say how it stands. The folders are looked at in a thread."""
        try:
            method = _method(request.query.get("method", "")[:100])
            action(method)
            return web.json_response(await asyncio.to_thread(self._state, method))
        except ValueError as error:
            return web.json_response({"error": printable(error)}, status=400)

    def _begin(self, method: Preprocessor) -> None:
        running = [fetch for fetch in self._fetches.values() if fetch.running]
        if method.id in self._fetches and self._fetches[method.id].running:
            return
        if len(running) >= MOST_FETCHES:
            raise ValueError("Two other methods are being fetched. Wait for one of them, or cancel it.")
        self._fetches[method.id] = Fetch(method.weights)
        self._fetches[method.id].start()

    def _end(self, method: Preprocessor) -> None:
        if method.id in self._fetches:
            self._fetches[method.id].stop()

    def _state(self, method: Preprocessor) -> dict[str, Any]:
        fetch = self._fetches.get(method.id)
        rows = missing_weights(method.weights, weight_folders())
        return {
            "missing": [{"file": row.file, "size": row.size, "license": row.license} for row in rows],
            "megabytes": sum(row.likely_bytes for row in rows) / 1e6,
            "non_commercial": any(row.non_commercial for row in rows),
            "package": missing_package(method.weights),
            "running": fetch is not None and fetch.running,
            "done": fetch.done if fetch else 0,
            "total": fetch.total if fetch else 0,
            "error": fetch.error if fetch else "",
        }


def _method(name: str) -> Preprocessor:
    """A preprocessor by the id of its node, or as `preprocessor_of`."""
    by_node = {method.node_id: method for method in preprocessors().values()}
    return by_node.get(name) or preprocessor_of(name)


def serve_weights() -> None:
    """Add the route to the running server."""
    routes, route = running_routes(), WeightsRoute()
    if routes is not None:
        routes.get(ROUTE)(route.get)
        routes.post(ROUTE)(route.post)

"""The route that fetches weights for a node: it answers at once, to ComfyUI's own pages only, and can be stopped."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from support.comfy_host import import_host

import_host()

from zeroconv.host import weights_route
from zeroconv.host.weights_route import ROUTE, WeightsRoute

Client = Any
METHOD = {"method": "ZeroConvHed"}


@pytest.fixture(autouse=True)
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """An empty folder of weights, and a fetch that goes on until it is stopped; which ones have begun."""
    begun: list[tuple[str, ...]] = []

    def fetch(names: tuple[str, ...], folders: list[Path], progress: Callable[[int, int], None]) -> None:
        begun.append(names)
        while True:
            progress(3, 10)
            time.sleep(0.01)

    monkeypatch.setattr(weights_route, "weight_folders", lambda: [tmp_path])
    monkeypatch.setattr(weights_route, "fetch_missing", fetch)
    return begun


def talk(work: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        app, route = web.Application(), WeightsRoute()
        app.router.add_get(ROUTE, route.get)
        app.router.add_post(ROUTE, route.post)
        async with TestClient(TestServer(app)) as client:
            await work(client)

    asyncio.run(run())


async def state_when(client: Client, happened: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for _ in range(500):
        state = await (await client.get(ROUTE, params=METHOD)).json()
        if happened(state):
            return state
        await asyncio.sleep(0.01)
    raise AssertionError(state)


def test_a_node_is_told_what_is_missing_and_nothing_begins(begun: list[Any]) -> None:
    async def work(client: Client) -> None:
        state = await (await client.get(ROUTE, params=METHOD)).json()
        assert [row["file"] for row in state["missing"]] == ["ControlNetHED.pth"]
        assert state["megabytes"] == pytest.approx(29.4, abs=0.1)
        assert not state["running"]
        nothing = await (await client.get(ROUTE, params={"method": "canny"})).json()
        assert nothing["missing"] == []

    talk(work)
    assert begun == []


def test_it_begins_tells_how_far_it_is_and_stops(begun: list[Any]) -> None:
    async def work(client: Client) -> None:
        for _ in range(2):
            await client.post(ROUTE, params={**METHOD, "action": "fetch"})
        state = await state_when(client, lambda state: state["done"] > 0)
        assert (state["running"], state["done"], state["total"]) == (True, 3, 10)
        await client.post(ROUTE, params={**METHOD, "action": "cancel"})
        state = await state_when(client, lambda state: not state["running"])
        assert state["error"] == ""

    talk(work)
    assert begun == [("hed",)], "the second press did not begin it again"


def test_other_sites_and_what_is_unknown_are_refused(begun: list[Any]) -> None:
    async def work(client: Client) -> None:
        other = {"Sec-Fetch-Site": "cross-site"}
        for ask in (client.post, client.get):
            answer = await ask(ROUTE, params={**METHOD, "action": "fetch"}, headers=other)
            assert answer.status == 403
        for params in ({**METHOD, "action": "x"}, {"method": "../x", "action": "fetch"}, {"action": "fetch"}):
            assert (await client.post(ROUTE, params=params)).status == 400

    talk(work)
    assert begun == []


def test_no_more_than_two_methods_at_a_time(begun: list[Any]) -> None:
    async def work(client: Client) -> None:
        methods = ("hed", "pidinet", "teed")
        answers = [await client.post(ROUTE, params={"method": m, "action": "fetch"}) for m in methods]
        assert [answer.status for answer in answers] == [200, 200, 400]
        for method in methods:
            await client.post(ROUTE, params={"method": method, "action": "cancel"})

    talk(work)
    deadline = time.monotonic() + 5
    while any(thread.name == "zeroconv weights" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "a fetch goes on after Cancel"
        time.sleep(0.01)


def test_what_went_wrong_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ConnectionError("The hub is not there.")

    monkeypatch.setattr(weights_route, "fetch_missing", fail)

    async def work(client: Client) -> None:
        await client.post(ROUTE, params={**METHOD, "action": "fetch"})
        state = await state_when(client, lambda state: state["error"] != "")
        assert state["error"] == "The hub is not there."
        assert state["missing"]

    talk(work)

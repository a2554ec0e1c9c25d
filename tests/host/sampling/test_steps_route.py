"""The route that tells the curve in the browser where the steps lie: right, bounded, and never in others' way."""

import asyncio
import random
import time

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from support.comfy_host import import_host, small_model

import_host()

from zeroconv.controlnet.strength.timeline import COUNTINGS
from zeroconv.host import routes
from zeroconv.host.preview import SamplerSettings, sampler_names, scheduler_names, timeline_of


def ask(question, beside=None, headers=None):
    """The answers (status, JSON) to questions asked at once; beside: run meanwhile, with the client."""

    async def other(_):
        return web.Response()

    async def work():
        app = web.Application()
        app.router.add_get(routes.ROUTE, routes.StepAnswers())
        app.router.add_get("/other", other)

        async def one(client, query):
            async with client.get(routes.ROUTE, params=query, headers=headers) as answer:
                return answer.status, await answer.json()

        async with TestClient(TestServer(app)) as client:
            given = asyncio.gather(*(one(client, query) for query in question))
            if beside is not None:
                await beside(client, given)
            return await given

    return asyncio.run(work())


@pytest.fixture(scope="module")
def model():
    return small_model(32)


@pytest.mark.parametrize("scheduler", ["normal", "sgm_uniform", "simple", "ddim_uniform", "beta", "karras"])
@pytest.mark.parametrize("denoise", [1.0, 0.3])
def test_positions_are_those_of_a_sampler_of_the_host(model, scheduler, denoise):
    timeline = timeline_of(model, SamplerSettings(11, "euler", scheduler, denoise))
    told = routes.step_positions({"steps": "11", "scheduler": scheduler, "denoise": str(denoise)})
    for counting in COUNTINGS:
        expected = [timeline.position(sigma, counting) for sigma in timeline.sigmas[:-1]]
        assert told[counting] == pytest.approx(expected, abs=2e-6, rel=1e-5)


def test_others_are_answered_meanwhile():
    """Counted and not timed: the other route answers again and again while the heaviest question is worked on."""
    answered = []

    async def beside(client, given):
        while not given.done():
            async with client.get("/other") as answer:
                answered.append(answer.status)

    ((status, _),) = ask([{"steps": "1000", "denoise": "0.01"}], beside)
    assert status == 200
    assert len(answered) >= 10


@pytest.mark.parametrize(
    "query",
    [
        {"steps": "1000", "denoise": "0.0099"},
        {"steps": "1", "denoise": "1e-300"},
        {"steps": "1001"},
        {"steps": "9" * 5000},
        {"denoise": "nan"},
        {"denoise": "inf"},
        {"end_at_step": "9" * 30},
        {"start_at_step": "-1"},
        {"scheduler": "none"},
        {"sampler_name": "../../none"},
        {"start_at_step": "30"},
    ],
    ids=str,
)
def test_what_no_sampler_does_is_refused_at_once(query, monkeypatch):
    """Before anything is computed, but for the last, of which only the sampler knows."""
    if query != {"start_at_step": "30"}:
        monkeypatch.setattr(routes, "timeline_of", lambda *_: pytest.fail("computed"))
    ((status, told),) = ask([query])
    assert status == 400
    assert told["error"]


def test_random_questions_are_answered_or_refused_in_words():
    draw = random.Random(5)
    numbers = ["0", "-1", "1", "7", "999", "1e3", "0.5", "0.002", "nan", "", "x", "9" * 40, "1_0", "٣"]
    names = [*sampler_names()[:6], *scheduler_names()]
    words = ("sampler_name", "scheduler")

    def question():
        keys = ("steps", "denoise", "start_at_step", "end_at_step", *words, "other")
        chosen = draw.sample(keys, draw.randint(0, 4))
        return {key: draw.choice(names if key in words else numbers) for key in chosen}

    for _ in range(20):
        for status, told in ask([question() for _ in range(5)]):
            assert status in (200, 400)
            assert set(told) == (set(COUNTINGS) if status == 200 else {"error"})


def test_one_is_worked_on_and_few_wait(monkeypatch):
    running, most = [], []

    def slow(_):
        running.append(None)
        most.append(len(running))
        time.sleep(0.05)
        running.pop()
        return {}

    monkeypatch.setattr(routes, "step_positions", slow)
    statuses = [status for status, _ in ask([{}] * 30)]
    assert max(most) == 1
    assert set(statuses) == {200, 503}
    assert [status for status, _ in ask([{}])] == [200]


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-origin", 200), ("none", 200)])
def test_other_web_pages_may_not_ask(site, status):
    assert [given for given, _ in ask([{"steps": "2"}], headers={"Sec-Fetch-Site": site})] == [status]

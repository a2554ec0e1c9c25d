"""The curve of the schedule node: the same curve as a run computes, and the text and it edit each other."""

import random

import pytest
from zeroconv.comfy_client.browser import at_rest
from zeroconv.comfy_client.server import PACK, ComfyServer
from zeroconv.controlnet.strength.schedule import INTERPOLATIONS, Keyframe, Schedule
from zeroconv.controlnet.strength.timeline import COUNTINGS

from .conftest import Canvas
from .pads import NEW_GRAPH

MISTAKES = [
    "", " ", "0: 1, 0.5 0.6", "0: 1, 0.5: fast", "0: 1 quick, 1: 0", "0: 1, 1.5: 0", "0: 1, 0.6: 0, 0.4: 1", "-1: 1",
    "0: 1\n0.5; 1", "0: 1 0.5: 1", "0: 1e999", "1e999: 1", ":", "0:1,,1:0", "0: 1 constructor", "0: .", "0x1: 1",
]  # fmt: skip
WORDED = [
    " 0 :1 ; 1:0 ; ", "0: 1\n1: 0", "0: 0 ease in-out, 1: 1", "0: 1 EASE  out,1:0", "0:+.5, 1.:1e-1",
    "0: 1, 0.5: 1, 0.5: 0",
    "0.2: 0.4 hold, 0.8: 1", "0: 1,\n 0.5: -2 ease-in,\n1: 3;",
]  # fmt: skip
EVALUATE = """async ([rows, pack]) => {
    const { parseSchedule, formatSchedule, factorAt } = await import(`/extensions/${pack}/curve/schedule.js`)
    return rows.map(([text, counting, positions]) => {
        try {
            const keyframes = parseSchedule(text, counting)
            const again = parseSchedule(formatSchedule(keyframes, text), counting)
            return [positions.map((position) => factorAt(keyframes, position, counting)),
                JSON.stringify(again) === JSON.stringify(keyframes)]
        } catch (error) {
            return error.place ?? String(error)
        }
    })
}"""


def by_chance(seed: int) -> tuple[str, str]:
    """The text and the counting of a schedule."""
    chance = random.Random(seed)
    counting = chance.choice(COUNTINGS)
    far = 20 if counting == "sigma" else 1
    places = sorted((round(chance.uniform(0, far), 3) for _ in range(chance.randint(1, 6))), reverse=far > 1)
    keyframes = [Keyframe(p, round(chance.uniform(-2, 3), 3), chance.choice(INTERPOLATIONS)) for p in places]
    return str(Schedule(tuple(keyframes), counting)), counting


def test_browser_reads_and_evaluates_as_a_run_does(canvas: Canvas) -> None:
    texts = [by_chance(seed) for seed in range(300)]
    texts += [(text, counting) for text in WORDED + MISTAKES for counting in ("timesteps", "sigma")]
    positions = [step / 16 * far for far in (1, 20) for step in range(17)]
    answers = canvas.page.evaluate(EVALUATE, [[[text, counting, positions] for text, counting in texts], PACK])
    for (text, counting), answer in zip(texts, answers, strict=True):
        try:
            schedule = Schedule.parse(text, counting)
        except ValueError as error:
            mark = str(error).split("\n")[-1].index("^")
            line = str(error).split("\n")[1]
            assert isinstance(answer, int), text
            assert text[answer:].split("\n")[0].rstrip(" ,;") == line[mark:].rstrip(" ,;"), text
        else:
            factors, same_again = answer
            assert factors == pytest.approx([schedule.factor(position) for position in positions], abs=1e-12), text
            assert same_again, text


ADD = (
    NEW_GRAPH
    + """
    const [schedule, apply, sampler] = [add('ZeroConvSchedule', 150), add('ZeroConvApply', 700), add('KSampler', 1100)]
    schedule.connect(0, apply, apply.findInputSlot('schedule'))
    apply.connect(0, sampler, 1)
    app.canvas.ds.scale = 1
    app.canvas.ds.offset = [0, 0]
    app.canvas.setDirty(true, true)
}"""
)
PLACES = """() => {
    const root = document.querySelector('.zeroconv-curve').shadowRoot
    const dot = root.querySelectorAll('.handle .dot')[1].getBoundingClientRect()
    const chart = root.querySelector('.picture').getBoundingClientRect()
    return [dot.x + dot.width / 2, dot.y + dot.height / 2, chart.width, chart.height]
}"""
"""Middle of the second handle, and the size of the chart."""
TEXT = "app.graph.nodes.find((node) => node.type === 'ZeroConvSchedule').widgets[0].value"


def test_curve_and_text_edit_each_other(canvas: Canvas) -> None:
    page = canvas.page
    page.evaluate(ADD)
    curve = page.locator(".zeroconv-curve")
    curve.hover()
    page.wait_for_function(
        "() => document.querySelector('.zeroconv-curve').shadowRoot.querySelectorAll('line.step').length === 20"
    )
    x, y, width, height = at_rest(page, PLACES)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 0.2 * width, y + 0.3 * height, steps=5)
    page.mouse.up()
    dragged = Schedule.parse(page.evaluate(TEXT)).keyframes
    assert [(k.position, k.strength) for k in (dragged[0], dragged[2])] == [(0, 1), (1, 0)]
    assert dragged[1].interpolation == "ease"
    assert dragged[1].position == pytest.approx(0.5 - 0.2 / 0.88, abs=0.04)
    assert 0.4 < dragged[1].strength < 0.75

    page.keyboard.press("ArrowRight")
    moved = Schedule.parse(page.evaluate(TEXT)).keyframes[1]
    assert moved.position == pytest.approx(dragged[1].position + 0.01)
    page.keyboard.press("Delete")
    assert page.evaluate(TEXT) == "0: 1, 1: 0"
    assert page.evaluate("app.graph.nodes.length") == 3

    canvas.set_widget("ZeroConvSchedule", "keyframes", "0: 0.5 hold, 0.4: 2, 0.6: 1, 1: 0")
    assert curve.locator(".handle").count() == 4
    canvas.set_widget("ZeroConvSchedule", "keyframes", "0: 0.5, nothing")
    assert curve.locator(".broken").count() == 1
    saved = page.evaluate("app.graph.serialize().nodes.find((node) => node.type === 'ZeroConvSchedule').widgets_values")
    assert saved == ["0: 0.5, nothing", "timesteps"]
    assert canvas.errors == []


def test_marked_steps_are_those_of_the_sampler(server: ComfyServer) -> None:
    """Steps count evenly; by timesteps they lie as the scheduler puts them, "normal" evenly up to the last noise."""
    normal = server.get("/zeroconv/steps?steps=10&sampler_name=euler&scheduler=normal&denoise=1")
    assert normal["steps"] == pytest.approx([step / 10 for step in range(10)])
    assert normal["timesteps"] == pytest.approx([step / 9 for step in range(10)], abs=0.002)
    assert normal["sigma"][0] == pytest.approx(14.6146, abs=1e-3)
    karras = server.get("/zeroconv/steps?steps=10&sampler_name=euler&scheduler=karras&denoise=1")
    ramp = [step / 9 for step in range(10)]
    expected = [(14.6146 ** (1 / 7) + part * (0.0291675 ** (1 / 7) - 14.6146 ** (1 / 7))) ** 7 for part in ramp]
    assert karras["sigma"] == pytest.approx(expected, rel=1e-3)
    half = server.get("/zeroconv/steps?steps=10&sampler_name=euler&scheduler=normal&denoise=0.5")
    assert half["timesteps"][0] == pytest.approx(0.5, abs=0.03)


FORECAST = (
    NEW_GRAPH
    + """
    const [apply, forecast] = [add('ZeroConvApply', 150), add('ZeroConvPreviewSteps', 600)]
    const sampler = add('KSampler', 1100)
    const set = (name, value) => { sampler.widgets.find((widget) => widget.name === name).value = value }
    set('steps', 7), set('scheduler', 'karras'), set('denoise', 0.5)
    apply.connect(0, forecast, forecast.findInputSlot('conditioning'))
    apply.connect(0, sampler, 1)
}"""
)
FORECAST_VALUES = """async () => {
    const { output } = await app.graphToPrompt()
    const inputs = Object.values(output).find((node) => node.class_type === 'ZeroConvPreviewSteps').inputs
    const node = app.graph.nodes.find((node) => node.type === 'ZeroConvPreviewSteps')
    const seen = Object.fromEntries(node.widgets.map((widget) => [widget.name, widget.value]))
    return [inputs, seen].map(({ steps, scheduler, denoise }) => [steps, scheduler, denoise])
}"""


def test_a_forecast_takes_the_settings_of_the_sampler_that_its_prompt_goes_to(canvas: Canvas) -> None:
    """As queued and as seen on the node; on its own again it keeps what a person enters."""
    page = canvas.page
    page.evaluate(FORECAST)
    assert page.evaluate(FORECAST_VALUES) == [[7, "karras", 0.5]] * 2
    page.evaluate("() => { app.graph.nodes.find((n) => n.type === 'KSampler').widgets[2].value = 9 }")
    assert page.evaluate(FORECAST_VALUES) == [[9, "karras", 0.5]] * 2
    page.evaluate("() => app.graph.remove(app.graph.nodes.find((n) => n.type === 'KSampler'))")
    canvas.set_widget("ZeroConvPreviewSteps", "steps", 11)
    assert page.evaluate(FORECAST_VALUES) == [[11, "karras", 0.5]] * 2

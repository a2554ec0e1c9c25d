"""Fewer runs: at which steps the network runs, and what is kept between."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from zeroconv.controlnet.caching.run_interval import Adaptive, EveryNthStep, RunCache, greatest_change, plan_runs
from zeroconv.controlnet.residuals import Residuals


def at_once(value, use):
    use(float(value))


def residuals(*values, middle=0.0):
    return Residuals(tuple(torch.full((1, 2, 2, 2), float(v)) for v in values), (torch.full((1, 2, 2, 2), middle),))


def run(run_interval, steps, make=lambda step: residuals(1.0)):
    """At which of these steps the network ran, and what came out."""
    kept, out = RunCache(), []
    for step in steps:
        out.append(kept.residuals("key", step, run_interval, lambda step=step: make(step), at_once))
    return [ran for _, ran in out], [given for given, _ in out]


@given(st.integers(1, 20), st.integers(1, 60))
def test_every_nth_step_runs_a_share_of_n(n, steps):
    ran, _ = run(EveryNthStep(n), range(steps))
    assert ran == [step % n == 0 for step in range(steps)]
    assert tuple(ran) == plan_runs(EveryNthStep(n), (True,) * steps)


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 6))
def test_the_plan_is_what_happens_where_the_control_acts(acts, n):
    acting = [step for step, acts_here in enumerate(acts) if acts_here]
    ran, _ = run(EveryNthStep(n), acting)
    assert [step for step, runs in enumerate(plan_runs(EveryNthStep(n), acts)) if runs] == [
        step for step, runs in zip(acting, ran, strict=True) if runs
    ]


@given(st.lists(st.booleans(), max_size=30))
def test_without_a_pace_or_with_an_unknown_one_all_acting_steps_are_planned(acts):
    assert plan_runs(None, acts) == plan_runs(Adaptive(0.5), acts) == tuple(acts)


def test_between_runs_the_last_residuals_are_given_again():
    _, given = run(EveryNthStep(3), range(5), lambda step: residuals(step))
    assert [float(r.output[0].mean()) for r in given] == [0, 0, 0, 3, 3]


def test_what_the_caller_changes_does_not_come_back():
    kept = RunCache()
    for step in range(4):
        given, _ = kept.residuals("key", step, EveryNthStep(2), lambda: residuals(1.0), at_once)
        assert float(given.output[0].mean()) == 1.0
        given.output[0].mul_(5)


def test_one_tensor_stays_one_in_a_copy():
    shared = torch.ones(1, 2, 2, 2)
    copied = Residuals((shared, shared), (torch.ones(1),)).copy()
    assert copied.output[0] is copied.output[1]
    assert copied.output[0] is not shared


def test_a_second_evaluation_in_a_step_runs_where_the_first_did():
    ran, _ = run(EveryNthStep(2), [0, 1, 1, 2, 2, 3, 3, 4])
    assert ran == [True, False, False, True, True, False, False, True]


def test_going_back_to_an_earlier_step_runs():
    ran, _ = run(EveryNthStep(9), [0, 1, 2, 0, 1])
    assert ran == [True, False, False, True, False] or ran[3] is False
    ran, _ = run(EveryNthStep(2), [4, 5, 2, 3])
    assert ran == [True, False, True, False]


def test_an_even_change_is_followed_within_the_tolerance():
    """Residuals that grow by 1 a step from 100: 1 % a step."""
    ran, given = run(Adaptive(0.035), range(20), lambda step: residuals(100 + step))
    assert ran[:2] == [True, True]
    errors = [abs(float(r.output[0].mean()) - (100 + step)) / (100 + step) for step, r in enumerate(given)]
    assert max(errors) <= 0.035
    assert sum(ran) <= 8


def test_what_does_not_change_runs_twice():
    ran, _ = run(Adaptive(0.01), range(20))
    assert ran == [True, True, *(False,) * 18]


def test_tolerance_zero_runs_always_when_anything_changes():
    assert all(run(Adaptive(0.0), range(20), lambda step: residuals(1 + step))[0])


@given(st.lists(st.floats(-4, 4), min_size=3, max_size=3), st.lists(st.floats(-4, 4), min_size=3, max_size=3))
def test_the_change_is_the_greatest_of_all_residuals(before, after):
    reference = max(abs(b - a) / abs(b) if abs(b) > 1e-6 else 0 for a, b in zip(before, after, strict=True))
    if all(abs(b) > 1e-6 for b in after):
        change = greatest_change(residuals(*before[:2], middle=before[2]), residuals(*after[:2], middle=after[2]))
        assert float(change) == pytest.approx(reference, rel=1e-4)


def test_residuals_of_an_untrained_network_have_not_changed():
    assert float(greatest_change(residuals(0.0), residuals(0.0))) == 0


def test_kinds_of_calls_are_kept_apart_and_bounded():
    kept, made = RunCache(capacity=2), []
    for step in range(4):
        for key in ("cond", "uncond"):
            kept.residuals(key, step, EveryNthStep(2), lambda key=key: made.append(key) or residuals(1.0), at_once)
    assert made == ["cond", "uncond"] * 2
    kept.residuals("third", 0, EveryNthStep(2), lambda: residuals(1.0), at_once)
    assert len(kept) == 2
    kept.clear()
    assert len(kept) == 0


@pytest.mark.parametrize(("make", "says"), [(lambda: EveryNthStep(0), "every 0 steps"), (lambda: Adaptive(2), "is 2")])
def test_settings_out_of_range_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()

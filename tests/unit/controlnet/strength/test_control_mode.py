"""Control modes and programs: each equals the program it is named after."""

import pytest
from zeroconv.controlnet.strength.cfg_weights import CfgWeights
from zeroconv.controlnet.strength.control_mode import MODES, SOFT_KINDS, control_mode
from zeroconv.controlnet.strength.program import PROGRAMS, program_choices

ONES = (1.0,) * 13


def webui_powers(count):
    return [0.825 ** (12 - i) for i in range(count)]


def scales(mode, count):
    return mode.block_weights.factors(count) if mode.block_weights else (1.0,) * count


def sides(mode):
    return mode.cfg_weights.factors((0, 1)) if mode.cfg_weights else (1.0, 1.0)


@pytest.mark.parametrize("count", [10, 13])
@pytest.mark.parametrize(
    ("name", "soft", "cond_uncond"),
    [
        ("balanced", False, (1, 1)),
        ("prompt", True, (1, 1)),
        ("control", True, (1, 0)),
        ("cond only", False, (1, 0)),
    ],
)
def test_webui_and_invoke_modes(name, soft, cond_uncond, count):
    mode = control_mode(name, "A1111")
    assert scales(mode, count) == pytest.approx(webui_powers(count) if soft else [1] * count)
    assert sides(mode) == cond_uncond


@pytest.mark.parametrize("soft", SOFT_KINDS)
@pytest.mark.parametrize("count", [10, 13])
def test_guess_mode_of_diffusers(soft, count):
    mode = control_mode("guess", soft)
    assert scales(mode, count) == pytest.approx([10 ** (-1 + i / (count - 1)) for i in range(count)])
    assert sides(mode) == (1, 0)


def test_the_untruncated_soft_weights_let_the_middle_of_sdxl_act_whole():
    ours, webui = (scales(control_mode("prompt", soft), 10) for soft in ("whole depth", "A1111"))
    assert ours[-1] == 1
    assert [a / b for a, b in zip(ours, webui, strict=True)] == pytest.approx([1 / 0.825**3] * 10)


def test_balanced_costs_nothing():
    mode = control_mode("balanced")
    assert mode.cfg_weights is None
    assert mode.block_weights is None


def test_each_group_of_rows_gets_the_weight_of_its_prompt():
    assert CfgWeights(0.5, 0.25).factors((False, True, True, False)) == (0.5, 0.25, 0.25, 0.5)


@pytest.mark.parametrize("sides", [(-0.1, 1), (1, 11)])
def test_side_weights_out_of_range_are_refused(sides):
    with pytest.raises(ValueError, match=r"0\.\.10"):
        CfgWeights(*sides)


def test_every_mode_and_program_is_there():
    assert [control_mode(name).cfg_weights for name in MODES] == [
        None,
        None,
        CfgWeights(1, 0),
        CfgWeights(1, 0),
        CfgWeights(1, 0),
    ]
    countings = [program_choices(name).counting for name in PROGRAMS]
    assert countings == ["timesteps", "steps (A1111)", "steps"]
    assert [program_choices(name).pooled_cond_only for name in PROGRAMS] == [False, True, True]

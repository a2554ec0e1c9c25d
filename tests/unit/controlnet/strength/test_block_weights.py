"""Block weights against the reference programs' numbers, written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeroconv.controlnet.strength.block_weights import (
    Curve,
    Listed,
    Soft,
    SoftA1111,
    SoftDiffusers,
    Uniform,
    needed,
    parse_block_weights,
)

POWERS = [0.0994, 0.1205, 0.1461, 0.177, 0.2146, 0.2601, 0.3153, 0.3822, 0.4633, 0.5615, 0.6806, 0.825, 1.0]
"""0.825^12 ... 0.825^0."""


@pytest.mark.parametrize(
    ("rule", "count", "expected"),
    [
        (Soft(), 13, POWERS),
        (SoftA1111(), 13, POWERS),
        (Soft(), 10, POWERS[3:]),
        (SoftA1111(), 10, POWERS[:10]),
        (SoftA1111(), 4, [0.25, 0.62, 0.825, 1.0]),
        (SoftDiffusers(), 10, [0.1, 0.1292, 0.1668, 0.2154, 0.2783, 0.3594, 0.4642, 0.5995, 0.7743, 1.0]),
        (
            SoftDiffusers(),
            13,
            [0.1, 0.1212, 0.1468, 0.1778, 0.2154, 0.261, 0.3162, 0.3831, 0.4642, 0.5623, 0.6813, 0.8254, 1.0],
        ),
        (Uniform(0.5), 3, [0.5, 0.5, 0.5]),
        (Listed((1, 0)), 5, [1, 0.75, 0.5, 0.25, 0]),
        (Listed((0, 1, 0)), 4, [0, 2 / 3, 2 / 3, 0]),
        (Listed((0.3, 0.7)), 1, [0.7]),
    ],
)
def test_reference_numbers(rule, count, expected):
    assert rule.factors(count) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("count", [10, 13])
def test_formulas(count):
    assert Soft().factors(count) == pytest.approx([0.825 ** (count - 1 - i) for i in range(count)])
    assert SoftA1111().factors(count) == pytest.approx([0.825 ** (12 - i) for i in range(count)])
    assert SoftDiffusers().factors(count) == pytest.approx(np.logspace(-1, 0, count))


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20))
def test_a_list_of_the_right_length_is_taken_as_it_is(values):
    assert Listed(tuple(values)).factors(len(values)) == tuple(values)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=20), st.integers(1, 40))
def test_resampling_stays_in_range_and_keeps_the_ends(values, count):
    factors = Listed(tuple(values)).factors(count)
    assert len(factors) == count
    assert min(values) - 1e-9 <= min(factors) <= max(factors) <= max(values) + 1e-9
    assert factors[-1] == values[-1]
    assert count == 1 or factors[0] == values[0]


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20))
def test_the_text_reads_back(values):
    assert parse_block_weights(str(Listed(tuple(values)))) == Listed(tuple(values))


def test_a_curve_over_the_depth():
    weights = parse_block_weights("0: 0, 0.5: 1 hold, 1: 0.5")
    assert isinstance(weights, Curve)
    assert weights.factors(5) == (0, 0.5, 1, 1, 0.5)
    assert parse_block_weights(str(weights)) == weights


@pytest.mark.parametrize(
    ("text", "marked"), [("1, x", "1, ^"), ("1 2", "1 ^"), ("1,, 2", "1,^"), ("0: 1, 2: 1", "0: 1, ^")]
)
def test_a_mistake_is_marked(text, marked):
    with pytest.raises(ValueError, match="mistake") as error:
        parse_block_weights(text)
    _, line, mark = str(error.value).split("\n")
    assert line[: mark.index("^")] + "^" == marked


def test_no_weights_are_refused():
    with pytest.raises(ValueError, match="empty"):
        parse_block_weights("  ")


@pytest.mark.parametrize(
    ("factors", "count"), [((1, 1, 1), 3), ((1, 0.5, 0, 0), 2), ((0, 0), 0), ((0, 0, 1), 3), ((), 0)]
)
def test_the_network_is_needed_up_to_the_last_weight(factors, count):
    assert needed(factors) == count

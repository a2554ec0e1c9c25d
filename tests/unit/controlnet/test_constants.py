"""Tensors of numbers that repeat: made once, told apart, few; rows that follow one another need none."""

import torch
from zeroconv.controlnet.constants import CAPACITY, Constants, is_range

CPU = torch.device("cpu")


def test_equal_numbers_are_one_tensor():
    constants = Constants()
    first = constants.get((1, 0, 2), torch.int64, CPU)
    assert constants.get([1, 0, 2], torch.int64, CPU) is first
    assert first.tolist() == [1, 0, 2]
    assert constants.get((1, 0, 2), torch.float32, CPU).dtype == torch.float32
    constants.clear()
    assert constants.get((1, 0, 2), torch.int64, CPU) is not first


def test_the_oldest_are_forgotten():
    constants = Constants()
    first = constants.get((0,), torch.int64, CPU)
    for number in range(1, CAPACITY):
        constants.get((number,), torch.int64, CPU)
    assert constants.get((0,), torch.int64, CPU) is first
    for number in range(CAPACITY, 2 * CAPACITY):
        constants.get((number,), torch.int64, CPU)
    assert constants.get((0,), torch.int64, CPU) is not first


def test_rows_are_those_that_are_asked_for():
    values = torch.arange(12.0).view(6, 2)
    constants = Constants()
    for indices in ([1, 2, 3], [4], [0, 2, 5], [3, 1], [2, 2]):
        assert torch.equal(constants.rows(values, indices), values[indices])
    assert constants.rows(values, [1, 2]).untyped_storage().data_ptr() == values.untyped_storage().data_ptr()
    assert [is_range(indices) for indices in ((), (2,), (2, 3), (3, 2), (1, 3))] == [False, True, True, False, False]

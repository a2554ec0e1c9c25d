"""Masks on the grids of residuals."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from zeroconv.controlnet.strength.mask import Mask, resize_mask, token_grid


def left_half(height=64, width=96):
    values = torch.zeros(height, width)
    values[:, : width // 2] = 1
    return values


@pytest.mark.parametrize("grid", [(8, 12), (4, 6), (16, 24), (64, 96), (128, 200)])
def test_the_half_of_a_picture_is_the_half_of_every_grid(grid):
    resized = Mask(left_half()).for_residual(torch.zeros(2, 5, *grid), (8, 12))
    assert resized.shape == (1, 1, *grid)
    middle = grid[1] // 2
    assert (resized[..., : middle - 1] == 1).all()
    assert (resized[..., middle + 1 :] == 0).all()


def test_shrinking_is_the_mean_of_each_cell():
    values = torch.rand(3, 16, 24)
    cells = values.reshape(3, 4, 4, 6, 4).mean(dim=(2, 4))
    torch.testing.assert_close(resize_mask(values, (4, 6)), cells)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_a_mask_and_its_opposite_add_up_to_one(height, width, rows, columns):
    values = torch.rand(1, height, width, generator=torch.Generator().manual_seed(height))
    total = resize_mask(values, (rows, columns)) + resize_mask(1 - values, (rows, columns))
    torch.testing.assert_close(total, torch.ones(1, rows, columns))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_cells_off_the_mask_are_exactly_zero(height, width, rows, columns):
    values = torch.zeros(1, height, width)
    values[:, :, : width // 4] = 1
    resized = resize_mask(values, (rows, columns))
    first_untouched = -(-(width // 4) * columns // width) + (2 * columns // width + 1 if columns > width else 1)
    assert (resized[..., first_untouched:] == 0).all()


@pytest.mark.parametrize(
    ("tokens", "latent", "grid"),
    [
        (4 * 6, (8, 12), (4, 6, 1)),  # SD3, Flux: two latent points to a token
        (5 * 6, (9, 11), (5, 6, 1)),  # odd sizes are padded
        (3 * 4 * 6, (8, 12), (4, 6, 3)),  # three frames
        (64 * 64, (128, 128), (64, 64, 1)),
    ],
)
def test_grids_of_tokens(tokens, latent, grid):
    assert token_grid(tokens, latent) == grid


def test_tokens_are_masked_by_their_place_in_the_picture():
    mask = Mask(left_half()).for_residual(torch.zeros(2, 24, 7), (8, 12))
    assert mask.shape == (1, 24, 1)
    assert mask.reshape(4, 6).tolist() == [[1, 1, 1, 0, 0, 0]] * 4


def test_frames_of_tokens_are_masked_alike():
    mask = Mask(left_half()).for_residual(torch.zeros(1, 48, 7), (8, 12))
    assert mask.reshape(2, 4, 6).tolist() == [[[1, 1, 1, 0, 0, 0]] * 4] * 2


def test_a_batch_of_masks_stays_a_batch():
    mask = Mask(torch.stack([left_half(), 1 - left_half(), torch.full((64, 96), 0.25)]))
    resized = mask.for_residual(torch.zeros(6, 5, 8, 12), (8, 12))
    assert resized.shape == (3, 1, 8, 12)
    assert resized[:, 0, 0, 0].tolist() == [1, 0, 0.25]
    assert mask.pictures == 3


def test_resized_masks_are_kept_and_let_go():
    mask = Mask(left_half())
    residual = torch.zeros(1, 5, 8, 12)
    first = mask.for_residual(residual, (8, 12))
    assert mask.for_residual(residual, (8, 12)).data_ptr() == first.data_ptr()
    mask.clear()
    assert mask.for_residual(residual, (8, 12)).data_ptr() != first.data_ptr()


def test_knows_when_it_is_zero_or_one():
    assert Mask(torch.zeros(4, 4)).is_zero
    assert Mask(torch.ones(2, 4, 4)).is_one
    assert not Mask(left_half()).is_zero
    assert not Mask(left_half()).is_one


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (torch.zeros(1, 1, 4, 4), "shape"),
        (torch.zeros(0, 4, 4), "shape"),
        (torch.full((4, 4), torch.nan), "NaN"),
    ],
)
def test_what_is_no_mask_is_refused(values, says):
    with pytest.raises(ValueError, match=says):
        Mask(values)


def test_tokens_that_form_no_grid_are_refused():
    with pytest.raises(ValueError, match="25 tokens are not a grid of a latent of 12 x 8"):
        Mask(left_half()).for_residual(torch.zeros(1, 25, 7), (8, 12))

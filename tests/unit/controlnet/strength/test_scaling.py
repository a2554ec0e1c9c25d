"""All factors on residuals at once equal the factors one after the other."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from zeroconv.controlnet.residuals import Residuals
from zeroconv.controlnet.strength.mask import Mask
from zeroconv.controlnet.strength.scaling import Scales, scale_residuals, spread_rows

SHAPES = [(6, 4, 16, 24), (6, 8, 8, 12), (6, 8, 4, 6)]


def residuals(seed=0):
    generator = torch.Generator().manual_seed(seed)
    first, second, middle = (torch.randn(shape, generator=generator) for shape in SHAPES)
    return Residuals((first, second), (middle,))


def test_no_factor_changes_and_copies_nothing():
    before = residuals()
    after = scale_residuals(before, Scales())
    assert all(a is b for a, b in zip(before.flat, after.flat, strict=True))


def test_all_factors_multiply():
    left = torch.zeros(3, 16, 24)
    left[0, :, :12] = left[1] = 1
    scales = Scales(0.5, (1.0, 0.3, 2.0), (1, 0.5, 0, 1, 1, 0.25), Mask(left), (0, 1, 2, 0, 1, 2), (16, 24))
    scaled = scale_residuals(residuals(), scales).flat
    for residual, result, block in zip(residuals().flat, scaled, (1.0, 0.3, 2.0), strict=True):
        for row, factor in enumerate((1, 0.5, 0, 1, 1, 0.25)):
            width = {0: residual.shape[-1] // 2, 1: residual.shape[-1], 2: 0}[row % 3]
            expected = torch.zeros_like(residual[row])
            expected[..., :width] = residual[row, ..., :width] * 0.5 * block * factor
            torch.testing.assert_close(result[row], expected)
            assert (result[row, ..., width:] == 0).all()


def test_one_mask_serves_all_rows_and_two_halves_make_a_whole():
    left = torch.zeros(16, 24)
    left[:, :12] = 1
    halves = [
        scale_residuals(residuals(), Scales(mask=Mask(m), mask_rows=(0,) * 6, latent_size=(16, 24)))
        for m in (left, 1 - left)
    ]
    for whole, a, b in zip(residuals().flat, *(half.flat for half in halves), strict=True):
        assert torch.equal(a + b, whole)


def test_a_repeated_tensor_is_scaled_once():
    """DiT families give one tensor for several blocks."""
    tensor = torch.ones(1, 24, 4)
    scaled = scale_residuals(Residuals((tensor, tensor, tensor), ()), Scales(0.5))
    assert all((t == 0.5).all() for t in scaled.output)
    assert scaled.output[0] is scaled.output[2]


def test_a_repeated_tensor_with_weights_of_its_own_for_each_block():
    tensor = torch.ones(1, 24, 4)
    scaled = scale_residuals(Residuals((tensor, tensor), (), (tensor,)), Scales(2.0, (1.0, 0.25, 0.5)))
    assert [t.unique().tolist() for t in scaled.flat] == [[2.0], [0.5], [1.0]]


def test_weight_zero_gives_zeros_even_of_what_is_not_finite():
    broken = torch.full((1, 4, 2, 2), torch.inf)
    scaled = scale_residuals(Residuals((broken,), ()), Scales(blocks=(0.0,)))
    assert (scaled.output[0] == 0).all()


@pytest.mark.parametrize("kept", [(0, 1, 2), (3, 5), (1,), (0, 1, 2, 3, 4, 5)])
def test_rows_computed_apart_come_back_to_their_places(kept):
    whole = residuals()
    part = Residuals(tuple(t[list(kept)] for t in whole.output), tuple(t[list(kept)] for t in whole.middle))
    for original, spread in zip(whole.flat, spread_rows(part, kept, 6).flat, strict=True):
        for row in range(6):
            assert torch.equal(spread[row], original[row] if row in kept else torch.zeros_like(original[row]))


@given(
    st.floats(-3, 3),
    st.none() | st.lists(st.floats(-2, 2), min_size=3, max_size=3),
    st.none() | st.lists(st.floats(0, 2), min_size=4, max_size=4),
    st.booleans(),
    st.booleans(),
    st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_any_factors_and_sums_equal_plain_arithmetic(strength, blocks, rows, masked, shared, added):
    """Against a loop over residuals and rows, in double precision."""
    generator = torch.Generator().manual_seed(1)
    first = torch.randn(4, 2, 4, 4, generator=generator)
    tensors = [first, first if shared else torch.randn(4, 2, 4, 4, generator=generator)]
    tensors.append(torch.randn(4, 3, 2, 2, generator=generator))
    mask = torch.rand(2, 4, 4, generator=generator)
    wanted = [tensor.double().clone() for tensor in tensors]
    for index, tensor in enumerate(wanted):
        for row in range(4):
            factor = strength * (blocks[index] if blocks else 1) * (rows[row] if rows else 1)
            tensor[row] *= factor
            if masked:
                grid = tensor.shape[-1]
                tensor[row] *= mask[row % 2].double().unflatten(0, (grid, -1)).unflatten(2, (grid, -1)).mean((1, 3))
    scales = Scales(
        strength,
        tuple(blocks) if blocks else None,
        tuple(rows) if rows else None,
        Mask(mask) if masked else None,
        (0, 1, 0, 1) if masked else (),
        (4, 4),
    )
    copies = Residuals(tuple(tensors[:2]), (tensors[2],)).copy()
    onto = [torch.randn(t.shape, generator=generator) if add else None for t, add in zip(tensors, added, strict=True)]
    before = [None if other is None else other.clone() for other in onto]
    scaled = scale_residuals(copies, scales, onto)
    for got, reference, other, kept in zip(scaled.flat, wanted, onto, before, strict=True):
        sum_of_both = reference if other is None else reference + other.double()
        torch.testing.assert_close(got.double(), sum_of_both, rtol=1e-5, atol=1e-5)
        assert other is None or torch.equal(other, kept), "what is added is somebody else's"


@pytest.mark.parametrize(
    "scales",
    [
        Scales(),
        Scales(0.7),
        Scales(0.7, rows=(1.0, 0.5, 0.25, 1.0, 0.0, 2.0)),
        Scales(0.7, mask=Mask(torch.rand(16, 24)), mask_rows=(0,) * 6, latent_size=(16, 24)),
    ],
    ids=["as it is", "strength", "rows", "mask"],
)
def test_one_pass_scales_and_adds_in_place(scales):
    """Only the multipliers are made beside the residuals: one operation writes each residual, into its own memory."""
    own, others = residuals(), residuals(1).flat
    places = [tensor.data_ptr() for tensor in own.flat]
    written = Writes(set(places))
    with written:
        summed = scale_residuals(own, scales, others)
    assert [tensor.data_ptr() for tensor in summed.flat] == places
    assert written.count == len(places)


def test_others_of_another_precision_or_batch_are_added():
    """As another pack's control may give them: the precision stays ours, the batch is the larger one."""
    own = torch.full((2, 4, 3, 3), 2.0, dtype=torch.bfloat16)
    for scales in (Scales(0.5), Scales(rows=(0.5, 0.5))):
        (summed,) = scale_residuals(Residuals((own.clone(),), ()), scales, [torch.full((2, 4, 3, 3), 3.0)]).flat
        assert summed.dtype == torch.bfloat16
        assert (summed == 4).all()
    (summed,) = scale_residuals(Residuals((own[:1].float(),), ()), Scales(0.5), [torch.full((2, 4, 3, 3), 3.0)]).flat
    assert torch.equal(summed, torch.full((2, 4, 3, 3), 4.0))


class Writes(TorchDispatchMode):
    """Counts the operations whose result lies at one of the places."""

    def __init__(self, places):
        super().__init__()
        self.places, self.count = places, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        views = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
        self.count += not views and isinstance(result, torch.Tensor) and result.data_ptr() in self.places
        return result

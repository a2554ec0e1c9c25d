"""Areas of the picture: what lies there, of hints and of masks."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from zeroconv.controlnet.hint.region import Area
from zeroconv.controlnet.residuals import Residuals
from zeroconv.controlnet.strength.mask import Mask
from zeroconv.controlnet.strength.scaling import Scales, scale_residuals


@st.composite
def areas(draw, count=1):
    """Areas of one size in one latent."""
    whole = draw(st.integers(2, 12)), draw(st.integers(2, 12))
    size = tuple(draw(st.integers(1, side)) for side in whole)
    corners = [[draw(st.integers(0, w - s)) for w, s in zip(whole, size, strict=True)] for _ in range(count)]
    return tuple(Area(top, left, size, whole) for top, left in corners)


@given(areas(), st.integers(1, 8))
def test_a_cut_is_what_lies_there(found, scale):
    (area,) = found
    height, width = (side * scale for side in area.whole)
    rows = torch.arange(height)[:, None].expand(height, width)
    columns = torch.arange(width).expand(height, width)
    cut = area.cut(torch.stack([rows, columns])[None], scale)
    assert cut.shape[-2:] == tuple(side * scale for side in area.size)
    assert (cut[0, 0] // scale == torch.arange(area.size[0]).repeat_interleave(scale)[:, None] + area.top).all()
    assert (cut[0, 1] // scale == torch.arange(area.size[1]).repeat_interleave(scale) + area.left).all()


@given(areas(count=2), st.integers(1, 3), st.integers(0, 99))
def test_a_mask_is_cut_as_a_picture_is(found, pictures, seed):
    whole = found[0].whole
    values = torch.rand(pictures, whole[0] * 8, whole[1] * 8, generator=torch.Generator().manual_seed(seed))
    cut = Mask(values).cut(found)
    assert torch.equal(cut.values, torch.cat([area.cut(values, 8) for area in found]))


def test_a_small_mask_is_laid_over_the_whole_before_it_is_cut():
    left = Mask(torch.tensor([[1.0] * 4 + [0.0] * 4]))
    area = Area(0, 0, (4, 4), (4, 8))
    assert left.cut((area,)).values[..., :28].all()
    right = Area(0, 4, (4, 4), (4, 8))
    assert not left.cut((right,)).values[..., 4:].any()


def test_cut_masks_are_kept_and_let_go():
    mask, area = Mask(torch.rand(8, 8)), Area(0, 0, (1, 1), (2, 2))
    first = mask.cut((area,))
    assert mask.cut((area,)) is first
    mask.clear()
    assert mask.cut((area,)) is not first


@given(areas(count=2), st.integers(1, 2), st.booleans())
def test_every_row_gets_the_mask_of_its_area_and_picture(found, pictures, single):
    """Rows are [area 1 of all pictures, area 2 of all pictures]."""
    whole, size = found[0].whole, found[0].size
    masks = torch.rand(1 if single else pictures, whole[0] * 8, whole[1] * 8)
    rows = ((0,) * pictures if single else tuple(range(pictures))) * 2
    scales = Scales(mask=Mask(masks), mask_rows=rows, latent_size=size).in_areas(found)
    residual = torch.ones(2 * pictures, 3, *size)
    (scaled,) = scale_residuals(Residuals((residual,), ()), scales).output
    for group, area in enumerate(found):
        for picture in range(pictures):
            part = area.cut(masks[0 if single else picture], 8)
            means = part.unflatten(0, (size[0], 8)).unflatten(2, (size[1], 8)).mean((1, 3))
            torch.testing.assert_close(scaled[group * pictures + picture], means.expand(3, *size), rtol=1e-5, atol=1e-5)


def test_without_areas_or_mask_the_scales_stay():
    area = Area(0, 0, (1, 1), (2, 2))
    plain, masked = Scales(2.0), Scales(mask=Mask(torch.rand(4, 4)), mask_rows=(0,))
    assert plain.in_areas((area,)) is plain
    assert masked.in_areas(()) is masked

"""Regions of the picture: what lies there, of hints and of masks."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from zeroconv.controlnet.hint.region import Region
from zeroconv.controlnet.residuals import Residuals
from zeroconv.controlnet.strength.mask import Mask
from zeroconv.controlnet.strength.scaling import Scales, scale_residuals


@st.composite
def regions(draw, count=1):
    """Regions of one size in one latent."""
    whole = draw(st.integers(2, 12)), draw(st.integers(2, 12))
    size = tuple(draw(st.integers(1, side)) for side in whole)
    corners = [[draw(st.integers(0, w - s)) for w, s in zip(whole, size, strict=True)] for _ in range(count)]
    return tuple(Region(top, left, size, whole) for top, left in corners)


@given(regions(), st.integers(1, 8))
def test_a_cut_is_what_lies_there(found, scale):
    (region,) = found
    height, width = (side * scale for side in region.whole)
    rows = torch.arange(height)[:, None].expand(height, width)
    columns = torch.arange(width).expand(height, width)
    cut = region.cut(torch.stack([rows, columns])[None], scale)
    assert cut.shape[-2:] == tuple(side * scale for side in region.size)
    assert (cut[0, 0] // scale == torch.arange(region.size[0]).repeat_interleave(scale)[:, None] + region.top).all()
    assert (cut[0, 1] // scale == torch.arange(region.size[1]).repeat_interleave(scale) + region.left).all()


@given(regions(count=2), st.integers(1, 3), st.integers(0, 99))
def test_a_mask_is_cut_as_a_picture_is(found, pictures, seed):
    whole = found[0].whole
    values = torch.rand(pictures, whole[0] * 8, whole[1] * 8, generator=torch.Generator().manual_seed(seed))
    cut = Mask(values).cut(found)
    assert torch.equal(cut.values, torch.cat([region.cut(values, 8) for region in found]))


def test_a_small_mask_is_laid_over_the_whole_before_it_is_cut():
    left = Mask(torch.tensor([[1.0] * 4 + [0.0] * 4]))
    region = Region(0, 0, (4, 4), (4, 8))
    assert left.cut((region,)).values[..., :28].all()
    right = Region(0, 4, (4, 4), (4, 8))
    assert not left.cut((right,)).values[..., 4:].any()


def test_cut_masks_are_kept_and_let_go():
    mask, region = Mask(torch.rand(8, 8)), Region(0, 0, (1, 1), (2, 2))
    first = mask.cut((region,))
    assert mask.cut((region,)) is first
    mask.clear()
    assert mask.cut((region,)) is not first


@given(regions(count=2), st.integers(1, 2), st.booleans())
def test_every_row_gets_the_mask_of_its_area_and_picture(found, pictures, single):
    """Rows are [region 1 of all pictures, region 2 of all pictures]."""
    whole, size = found[0].whole, found[0].size
    masks = torch.rand(1 if single else pictures, whole[0] * 8, whole[1] * 8)
    rows = ((0,) * pictures if single else tuple(range(pictures))) * 2
    scales = Scales(mask=Mask(masks), mask_rows=rows, latent_size=size).in_regions(found)
    residual = torch.ones(2 * pictures, 3, *size)
    (scaled,) = scale_residuals(Residuals((residual,), ()), scales).output
    for group, region in enumerate(found):
        for picture in range(pictures):
            part = region.cut(masks[0 if single else picture], 8)
            means = part.unflatten(0, (size[0], 8)).unflatten(2, (size[1], 8)).mean((1, 3))
            torch.testing.assert_close(scaled[group * pictures + picture], means.expand(3, *size), rtol=1e-5, atol=1e-5)


def test_without_areas_or_mask_the_scales_stay():
    region = Region(0, 0, (1, 1), (2, 2))
    plain, masked = Scales(2.0), Scales(mask=Mask(torch.rand(4, 4)), mask_rows=(0,))
    assert plain.in_regions((region,)) is plain
    assert masked.in_regions(()) is masked

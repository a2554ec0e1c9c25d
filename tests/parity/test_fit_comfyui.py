"""The default fit is ComfyUI's own."""

import pytest
import torch
from support.comfy_host import import_host
from zeroconv.controlnet.hint.fit import Fit, fit_hint


@pytest.mark.parametrize("hint", [(96, 128), (128, 96), (77, 301), (512, 512)])
@pytest.mark.parametrize("size", [(64, 64), (512, 768), (104, 136), (96, 128)])
def test_crop_nearest_equals_common_upscale(hint, size):
    import_host()
    from comfy.utils import common_upscale

    image = torch.rand(2, 3, *hint)
    expected = common_upscale(image, size[1], size[0], "nearest-exact", "center")
    assert torch.equal(fit_hint(image, size, Fit()), expected)

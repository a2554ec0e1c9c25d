"""SparseCtrl on the same random weights as diffusers', whose temporal layers normalise all frames of a video together.

AnimateDiff's own code, with which the weights were trained, normalises each frame for itself, and so do we: here
diffusers' networks are made to do the same. Of one frame both are equal as they are.
"""

import pytest
import torch
from diffusers import SparseControlNetModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from support.measures import relative_error
from zeroconv.controlnet.formats.sparse_ctrl import SPARSE_CTRL
from zeroconv.controlnet.networks.build import build_sparse_ctrl
from zeroconv.controlnet.networks.controlnet import Inputs

VIDEOS, HEIGHT, WIDTH = 2, 16, 24


def frame_by_frame(norm):
    """The same norm on (videos, channels, frames, h, w), of each frame for itself."""
    whole = norm.forward

    def forward(x):
        return torch.stack([whole(frame) for frame in x.unbind(2)], dim=2)

    norm.forward = forward


def random_network(rgb):
    torch.manual_seed(1)
    network = SparseControlNetModel(
        conditioning_channels=4 if rgb else 3,
        use_simplified_condition_embedding=rgb,
        block_out_channels=(64, 128, 256, 256),  # an empty frame is even, which a group of one channel turns into noise
        cross_attention_dim=768,
        norm_num_groups=32,
    ).eval()
    hint = network.controlnet_cond_embedding if rgb else network.controlnet_cond_embedding.conv_out
    moving = [module.proj_out for module in network.modules() if isinstance(module, AnimateDiffTransformer3D)]
    for layer in [*network.controlnet_down_blocks, network.controlnet_mid_block, hint, *moving]:
        torch.nn.init.normal_(layer.weight, std=0.1)
        torch.nn.init.normal_(layer.bias, std=0.1)
    return network


@pytest.mark.parametrize("without_numbers", [False, True])
@pytest.mark.parametrize("rgb", [True, False], ids=["rgb", "scribble"])
@pytest.mark.parametrize("frames", [1, 5])
def test_residuals_equal_diffusers(frames, rgb, without_numbers):
    theirs = random_network(rgb)
    state = {key: value for key, value in theirs.state_dict().items() if not (without_numbers and "pos_embed" in key)}
    ours = build_sparse_ctrl(SPARSE_CTRL.convert(state, None))
    if frames > 1:
        for module in theirs.modules():
            if isinstance(module, AnimateDiffTransformer3D):
                frame_by_frame(module.norm)
    scale = 1 if rgb else 8
    hint = torch.randn(1, 4 if rgb else 3, frames, scale * HEIGHT, scale * WIDTH)
    mask = torch.zeros(1, 1, frames, scale * HEIGHT, scale * WIDTH)
    mask[:, :, 0] = 1
    hint = hint * mask
    context = torch.randn(VIDEOS, 7, 768)
    timesteps = torch.tensor([400.0, 400.0])
    x = torch.randn(VIDEOS, 4, frames, HEIGHT, WIDTH)
    with torch.no_grad():
        down, middle = theirs(
            x,
            timesteps,
            context.repeat_interleave(frames, 0),
            hint.repeat(VIDEOS, 1, 1, 1, 1),
            conditioning_mask=mask.repeat(VIDEOS, 1, 1, 1, 1),
            return_dict=False,
        )
        rows = x.transpose(1, 2).flatten(0, 1)
        inputs = Inputs(rows, timesteps.repeat_interleave(frames), groups=VIDEOS, uniform_time=True)
        seen = torch.cat([hint, mask], dim=1)[0].transpose(0, 1)
        projected = ours.project_context(context.repeat_interleave(frames, 0))
        residuals = ours(inputs, ours.embed_hint(seen), projected)
    for mine, reference in zip([*residuals.output, *residuals.middle], [*down, middle], strict=True):
        assert relative_error(mine, reference) <= 1e-5


def test_frames_hear_of_each_other():
    ours = build_sparse_ctrl(SPARSE_CTRL.convert(random_network(True).state_dict(), None))
    hint, context = torch.zeros(3, 5, HEIGHT, WIDTH), torch.randn(3, 7, 768)
    inputs = Inputs(torch.zeros(3, 4, HEIGHT, WIDTH), torch.full((3,), 400.0), uniform_time=True)
    shown = torch.cat([torch.randn(1, 5, HEIGHT, WIDTH), hint[1:]])
    with torch.no_grad():
        projected = ours.project_context(context)
        without, with_hint = (ours(inputs, ours.embed_hint(h), projected).middle[0] for h in (hint, shown))
    assert relative_error(with_hint[2], without[2]) > 1e-3

"""A part of the UNet, on what the whole gave, gives what the whole gave; with all that nodes hang on it."""

import pytest
import torch
from support.comfy_host import import_host, small_model, small_sdxl_model
from support.measures import relative_error

import_host()

from zeroconv.controlnet.caching.step_cache import METHODS
from zeroconv.host.sampling.unet_parts import Capture, UnetCall, run_decoder, run_outer_blocks

EACH_METHOD = pytest.mark.parametrize("method", METHODS)


@pytest.fixture(scope="module")
def model():
    return small_model(64)


def call_of(model, patches=None):
    generator = torch.Generator().manual_seed(2)
    sdxl = model.model.diffusion_model.num_classes is not None
    context = torch.randn(2, 77, 2048 if sdxl else 768, generator=generator)
    y = torch.randn(2, 2816, generator=generator) if sdxl else None
    options = {} if patches is None else {"patches": patches}
    return UnetCall(torch.randn(2, 4, 8, 8, generator=generator), torch.full((2,), 400.0), context, y, options)


def whole_and_part(model, method, make_call, control=None):
    """On the very inputs of the key step, a part must give what the whole gave."""
    unet = model.model.diffusion_model
    call = make_call()
    capture = Capture(unet, method, control)
    whole = unet._forward(call.x, call.timesteps, call.context, call.y, control, capture.hook(call.options))
    divided = run_decoder if method == "encoder propagation" else run_outer_blocks
    return whole, divided(unet, make_call(), capture.features), capture.features, divided


@EACH_METHOD
@pytest.mark.parametrize("family", [small_model, small_sdxl_model])
@torch.inference_mode()
def test_a_part_on_the_inputs_of_the_whole_is_the_whole(method, family):
    model = family(64)
    whole, part, *_ = whole_and_part(model, method, lambda: call_of(model))
    assert relative_error(part, whole) <= 1e-6


class Patches:
    """Patches at every place that nodes use, which change what they are given, and note where they were."""

    def __init__(self):
        self.seen = []
        self.blocks = []

    def all(self):
        return {
            "emb_patch": [lambda emb, *_: emb * 1.1],
            "input_block_patch": [self.at_input],
            "input_block_patch_after_skip": [lambda h, _: h * 0.9],
            "output_block_patch": [self.at_output],
            "attn2_patch": [self.at_attention],
        }

    def at_input(self, h, options):
        self.blocks.append(options["block"])
        return h * 1.2

    def at_output(self, h, skip, options):
        self.blocks.append(options["block"])
        h[:, :8] = h[:, :8] * 1.5  # in place, as FreeU does
        return h, skip * 0.5

    def at_attention(self, q, k, v, options):
        self.seen.append((options["block"], options["transformer_index"]))
        return q * 1.3, k, v


@EACH_METHOD
@torch.inference_mode()
def test_patches_of_other_nodes_act_on_a_part_as_on_the_whole(model, method):
    of_whole, of_part = Patches(), Patches()
    which = iter((of_whole, of_part, of_part))
    whole, part, features, divided = whole_and_part(model, method, lambda: call_of(model, next(which).all()))
    assert relative_error(part, whole) <= 1e-6
    assert of_part.seen == of_whole.seen[-len(of_part.seen) :]
    assert set(of_part.blocks) == (
        {("input", 0), ("output", 11)} if method == "deep cache" else {("output", i) for i in range(12)}
    )
    again = divided(model.model.diffusion_model, call_of(model, next(which).all()), features)
    assert torch.equal(again, part), "what is kept is not written into"


@EACH_METHOD
@torch.inference_mode()
def test_what_a_control_adds_is_in_a_part(model, method):
    """Also to the encoder, as T2I adapters do, and of lists shorter than the UNet."""
    generator = torch.Generator().manual_seed(9)
    first, outer = (torch.randn(2, 64, 8, 8, generator=generator) for _ in range(2))
    middle = torch.randn(2, 256, 1, 1, generator=generator)

    def control(full):
        return {"input": [first.clone()], "middle": [middle], "output": [outer.clone(), *[None] * 11] if full else []}

    for full in (True, False):
        whole, part, *_ = whole_and_part(model, method, lambda: call_of(model), control(full))
        assert relative_error(part, whole) <= 1e-6

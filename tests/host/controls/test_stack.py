"""The stack is a chain, and says which unit is half wired."""

import pytest
import torch
from support.comfy_host import small_model
from support.sampling import Run, hint, ours, prompts, sample
from zeroconv.host.conditioning import Unit
from zeroconv.nodes.control.stack import ZeroConvStack


def test_a_stack_equals_the_chain():
    model = small_model(64)
    first, second = Unit(ours(1), hint(), 0.7), Unit(ours(2), hint(seed=9), 1.2, end=0.5)
    positive, negative = prompts()
    stacked = ZeroConvStack.execute(
        positive,
        negative,
        control_net_1=first.control,
        image_1=first.image,
        strength_1=first.strength,
        control_net_3=second.control,
        image_3=second.image,
        strength_3=second.strength,
        end_percent_3=second.end,
    )
    assert torch.equal(sample(model, [], Run(), stacked.args), sample(model, [first, second], Run()))


@pytest.mark.parametrize("wired", [{"control_net_2": object()}, {"image_2": hint()}])
def test_half_a_unit_is_named(wired):
    with pytest.raises(ValueError, match="Unit 2"):
        ZeroConvStack.execute(*prompts(), **wired)

"""The sampler of a training's pictures."""

import pytest
import torch
from torch import Tensor
from zeroconv.training.base import Interrupted, NoiseSchedule
from zeroconv.training.report.samples import ddim

SHARES = torch.linspace(0.99, 0.01, 50)


@pytest.mark.parametrize("prediction", ["eps", "v"])
@pytest.mark.parametrize("times", [range(49, -1, -7), range(49, 0, -8)])
def test_the_exact_prediction_leads_to_the_latent(prediction, times):
    schedule = NoiseSchedule(SHARES, prediction)
    target = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(2))

    def exact(x: Tensor, time: Tensor) -> Tensor:
        signal, spread = schedule.levels(time)
        return schedule.target(target, (x - signal * target) / spread, time)

    found = ddim(schedule, exact, torch.randn(2, 4, 4, 4), torch.tensor(times))
    assert torch.allclose(found, target, atol=1e-3)


def test_every_time_is_asked_once_and_a_stop_ends_it():
    asked: list[int] = []

    def predict(x: Tensor, time: Tensor) -> Tensor:
        asked.append(time.item())
        return x

    noise, times = torch.zeros(1, 4, 2, 2), torch.tensor([40, 20, 0])
    ddim(NoiseSchedule(SHARES), predict, noise, times)
    assert asked == [40, 20, 0]
    with pytest.raises(Interrupted):
        ddim(NoiseSchedule(SHARES), predict, noise, times, lambda: len(asked) > 4)
    assert asked == [40, 20, 0, 40, 20]

"""Training on a GPU: the losses of the CPU, saved and resumed, sampled; and how much memory a real step takes."""

import dataclasses
from pathlib import Path

import pytest
import torch
from support.gpu import GIB, GPU, pretended_gpu
from support.toy_base import ToyBase, toy_dataset
from torch import Tensor
from zeroconv.benchmarks.training import measure_training
from zeroconv.training.base import Prompt
from zeroconv.training.callbacks import Callbacks
from zeroconv.training.copy import trainable_copy
from zeroconv.training.loop import Trainer
from zeroconv.training.report.progress import Progress
from zeroconv.training.report.samples import Sampling, Strip, take_examples
from zeroconv.training.settings import Settings
from zeroconv.training.state import load_state, save_state

SETTINGS = Settings(steps=3, batch=2, learning_rate=1e-3, ema_decay=0.9, save_every=0, sample_every=0)


class Losses(Callbacks):
    def __init__(self) -> None:
        self.values: list[float] = []

    def stepped(self, progress: Progress) -> None:
        self.values.append(progress.loss)


class BaseHere(ToyBase):
    """The toy base model on a device."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device
        self.unet.to(device)


def trainer(device: torch.device, settings: Settings = SETTINGS) -> tuple[Trainer, Losses]:
    base, losses = BaseHere(device), Losses()
    return Trainer(base, trainable_copy(base.unet_weights()), toy_dataset(), settings, losses), losses


def on_cpu(settings: Settings = SETTINGS) -> tuple[list[float], dict[str, Tensor]]:
    running, losses = trainer(torch.device("cpu"), settings)
    assert running.run()
    return losses.values, dict(running.weights())


@pytest.mark.parametrize("checkpointing", [False, True])
def test_steps_on_a_gpu_are_those_on_the_cpu(checkpointing: bool) -> None:
    settings = dataclasses.replace(SETTINGS, gradient_checkpointing=checkpointing)
    expected, weights = on_cpu(settings)
    with pretended_gpu() as gpu:
        running, losses = trainer(GPU, settings)
        assert running.run()
        assert not gpu.on_cpu, "nothing heavy is left to the CPU"
        own = {key: value.cpu() for key, value in running.weights().items()}
    assert losses.values == pytest.approx(expected, rel=1e-5)
    for key, value in weights.items():
        torch.testing.assert_close(own[key], value, atol=1e-5, rtol=1e-4)


def test_a_step_reads_the_loss_and_the_norm_of_its_gradient_and_nothing_else() -> None:
    with pretended_gpu() as gpu:
        running, _ = trainer(GPU)
        running.run()
        gpu.clear()
        running._advance()
        assert len(gpu.reads) == 2


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_learns_the_same(precision) -> None:
    settings = dataclasses.replace(SETTINGS, precision=precision)
    with pretended_gpu():
        running, losses = trainer(GPU, settings)
        assert running.run()
    assert losses.values == pytest.approx(on_cpu()[0], rel=0.03)


def test_a_training_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    expected, _ = on_cpu()
    with pretended_gpu():
        first, _ = trainer(GPU, dataclasses.replace(SETTINGS, steps=2))
        first.run()
        save_state(first.state(), tmp_path / "state.pt")
    with pretended_gpu():
        second, losses = trainer(GPU)
        second.restore(load_state(tmp_path / "state.pt"))
        assert all(value.is_cuda for value in second.weights().values())
        second.run()
    assert losses.values == pytest.approx(expected[2:], rel=1e-4)


def test_samples_in_training_are_those_of_the_cpu() -> None:
    def sampled(device: torch.device) -> Tensor:
        running, _ = trainer(device)
        running.run()
        strip = Strip(running.base, take_examples(toy_dataset(), 1), Sampling(steps=3))
        with running.network() as network:
            (row,) = strip.draw(network)
        return row.controlled

    expected = sampled(torch.device("cpu"))
    with pretended_gpu():
        own = sampled(GPU)
    assert type(own) is Tensor, "pictures are on the CPU"
    torch.testing.assert_close(own, expected, atol=1e-3, rtol=0)


def test_a_prompt_on_the_cpu_is_refused() -> None:
    """Or the tests above would show nothing."""
    with pretended_gpu():
        running, _ = trainer(GPU)
        forget = Prompt.to
        try:
            Prompt.to = lambda self, device: self
            with pytest.raises(RuntimeError, match="two devices"):
                running._advance()
        finally:
            Prompt.to = forget


def test_the_estimate_of_memory_is_what_a_step_at_the_real_size_takes() -> None:
    """In float32; mixed, checkpointed and SDXL's are the rows of the training part in test_on_gpu.py."""
    with pretended_gpu(memory=200 * GIB, half=True, with_arithmetic=False):
        measured = measure_training("SD1.5", Settings(batch=1), torch.device("meta"))
    assert measured.estimated == pytest.approx(measured.peak, rel=0.1)

"""The loop: it learns, it resumes as if nothing had happened, it stops when asked, it harms nothing."""

import dataclasses
from pathlib import Path

import pytest
import torch
from support.toy_base import TIMESTEPS, ToyBase, toy_dataset, toy_samples, trained_toy_base
from zeroconv.controlnet.networks.controlnet import Inputs
from zeroconv.training.base import Interrupted, Prompt
from zeroconv.training.callbacks import Callbacks
from zeroconv.training.copy import trainable_copy
from zeroconv.training.loop import Trainer, TrainingDiverged
from zeroconv.training.objective import Objective
from zeroconv.training.pairs.batches import Batch, TensorDataset
from zeroconv.training.report.progress import Progress
from zeroconv.training.settings import Settings
from zeroconv.training.state import load_state, save_state

SETTINGS = Settings(
    steps=6, batch=2, gradient_accumulation_steps=2, learning_rate=1e-3, ema_decay=0.9, save_every=0, sample_every=0
)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Recorder(Callbacks):
    """Remembers what it was told; interrupts at a given question."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.losses: list[float] = []
        self.saved: list[int] = []
        self.sampled: list[int] = []
        self.asked = 0
        self.stop_at = stop_at

    def stepped(self, progress: Progress) -> None:
        self.losses.append(progress.loss)

    def save(self, trainer: Trainer) -> None:
        self.saved.append(trainer.step)

    def sample(self, trainer: Trainer) -> None:
        self.sampled.append(trainer.step)

    def interrupted(self) -> bool:
        self.asked += 1
        return self.stop_at is not None and self.asked > self.stop_at


def trainer(settings: Settings = SETTINGS, callbacks: Callbacks | None = None, base: ToyBase | None = None) -> Trainer:
    base = base or ToyBase()
    return Trainer(base, trainable_copy(base.unet_weights()), toy_dataset(), settings, callbacks)


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_resumed_training_is_bit_identical_to_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = trainer()
    assert whole.run()
    first = trainer(dataclasses.replace(SETTINGS, steps=3))
    first.run()
    assert not same(first.control.state_dict(), whole.control.state_dict())
    save_state(first.state(), tmp_path / "state.pt")
    second = trainer()
    second.restore(load_state(tmp_path / "state.pt"))
    assert second.step == 3
    second.run()
    assert same(second.control.state_dict(), whole.control.state_dict())
    assert same(second.weights(), whole.weights())
    assert not same(whole.weights(), whole.control.state_dict()), "the averaged weights are others"


def test_interrupt_within_a_step_saves_the_last_whole_step_and_resumes_exactly() -> None:
    recorder = Recorder(stop_at=5)  # two passes a step: the sixth question comes within step 3
    stopped = trainer(callbacks=recorder)
    assert stopped.run() is False
    assert (stopped.step, recorder.saved) == (2, [2])
    whole = trainer()
    whole.run()
    resumed = trainer()
    resumed.restore(stopped.state())
    resumed.run()
    assert same(resumed.control.state_dict(), whole.control.state_dict())


def test_an_interrupt_from_inside_the_base_model_or_its_gradient_saves_as_well() -> None:
    base, recorder = ToyBase(), Recorder()
    stopped = trainer(callbacks=recorder, base=base)
    predict = base.predict

    class Stop(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            raise Interrupted

    def interrupt(*arguments):
        prediction = predict(*arguments)
        return Stop.apply(prediction) if stopped.step == 3 else prediction

    base.predict = interrupt
    assert stopped.run() is False
    assert (stopped.step, recorder.saved) == (3, [3])


def test_accumulated_passes_equal_one_larger_batch() -> None:
    one = toy_samples(1)
    prompts = Prompt(one.prompts.context.repeat(4, 1, 1))
    alike = TensorDataset(Batch(one.latents.repeat(4, 1, 1, 1), one.hints.repeat(4, 1, 1, 1), prompts, one.empty))
    results = []
    for batch, accumulation in ((4, 1), (2, 2)):
        base, recorder = ToyBase(), Recorder()
        settings = dataclasses.replace(SETTINGS, batch=batch, gradient_accumulation_steps=accumulation)
        Trainer(base, trainable_copy(base.unet_weights()), alike, settings, recorder).run()
        results.append(recorder.losses)
    assert results[0] == pytest.approx(results[1], rel=1e-4)
    assert len(set(results[0])) == SETTINGS.steps


def test_frozen_base_stays_bit_identical_and_holds_no_gradients() -> None:
    base = ToyBase()
    before = {key: value.clone() for key, value in base.unet_weights().items()}
    trained = trainer(base=base)
    trained.run()
    assert same(before, dict(base.unet_weights()))
    assert all(p.grad is None for p in base.unet.parameters())
    assert not same(
        {k: v for k, v in trained.control.state_dict().items() if k in before},
        {k: v for k, v in before.items() if k in trained.control.state_dict()},
    )


@pytest.mark.parametrize(("sample_every", "sampled"), [(3, [0, 3, 5]), (0, [5])])
def test_callbacks_come_when_due(sample_every: int, sampled: list[int]) -> None:
    recorder = Recorder()
    trainer(dataclasses.replace(SETTINGS, steps=5, save_every=2, sample_every=sample_every), recorder).run()
    assert recorder.saved == [2, 4, 5]
    assert recorder.sampled == sampled
    assert len(recorder.losses) == 5


def test_a_loss_that_is_no_number_stops_before_the_weights_are_touched() -> None:
    base = ToyBase()
    recorder = Recorder()
    broken = trainer(callbacks=recorder, base=base)
    predict, good = base.predict, {}

    def fail(*arguments):
        if broken.step == 2:
            good.update({key: value.clone() for key, value in broken.control.state_dict().items()})
            return predict(*arguments) * float("nan")
        return predict(*arguments)

    base.predict = fail
    with pytest.raises(TrainingDiverged, match="step 3"):
        broken.run()
    assert broken.step == 2
    assert same(broken.control.state_dict(), good)
    assert recorder.saved == []


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_keeps_float32_weights(precision: str) -> None:
    exact, mixed = Recorder(), Recorder()
    trainer(SETTINGS, exact).run()
    trained = trainer(dataclasses.replace(SETTINGS, precision=precision), mixed)
    trained.run()
    assert all(p.dtype == torch.float32 for p in trained.control.parameters())
    assert mixed.losses == pytest.approx(exact.losses, rel=0.05)
    assert mixed.losses[1:] != exact.losses[1:]


def test_gradient_checkpointing_changes_nothing() -> None:
    plain, saving = trainer(), trainer(dataclasses.replace(SETTINGS, gradient_checkpointing=True))
    plain.run()
    saving.run()
    assert same(plain.control.state_dict(), saving.control.state_dict())


def test_only_middle_leaves_the_skips_alone() -> None:
    trained = trainer(dataclasses.replace(SETTINGS, only_middle=True))
    trained.run()
    weights = trained.control.state_dict()
    assert all(torch.count_nonzero(value) == 0 for key, value in weights.items() if key.startswith("zero_convs"))
    assert torch.count_nonzero(weights["middle_block_out.0.weight"]) > 0


def test_state_of_another_base_or_seed_is_refused() -> None:
    state = trainer().state()
    other = ToyBase()
    other.fingerprint = "another"
    with pytest.raises(ValueError, match="another base model"):
        trainer(base=other).restore(state)
    with pytest.raises(ValueError, match="seed 0, not 7"):
        trainer(dataclasses.replace(SETTINGS, seed=7)).restore(state)


def test_a_control_is_really_learned() -> None:
    """On held-out samples, the loss with the control falls well below that without."""
    base = trained_toy_base()
    settings = Settings(steps=100, batch=8, learning_rate=5e-3, save_every=0, sample_every=0, objective=Objective(1.0))
    control = trainable_copy(base.unet_weights(), hint_widths=(8,) * 7)
    held_out = toy_samples(32, seed=9)
    timesteps = torch.arange(32) + TIMESTEPS - 32
    noise = torch.randn(held_out.latents.shape, generator=torch.Generator().manual_seed(8))

    @torch.no_grad()
    def loss(hints: torch.Tensor | None) -> float:
        x = base.schedule.add_noise(held_out.latents, noise, timesteps)
        residuals = None
        if hints is not None:
            projected = control.project_context(held_out.prompts.context)
            residuals = control(Inputs(x, timesteps), control.embed_hint(hints), projected)
        return (base.predict(x, timesteps, held_out.prompts, residuals) - noise).square().mean().item()

    without = loss(None)
    assert loss(held_out.hints) == without
    assert Trainer(base, control, toy_dataset(64), settings).run()
    assert loss(None) == without
    assert loss(held_out.hints) < 0.75 * without
    assert loss(1 - held_out.hints) > 1.4 * without

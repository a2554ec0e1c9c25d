"""The strip that shows whether the network follows its hints: hint, sample with control, the same seed without."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from ...controlnet.networks.controlnet import ControlNet, Inputs
from ...controlnet.residuals import Residuals
from ..base import BaseModel, Interrupted, NoiseSchedule, Prompt, join_prompts
from ..pairs.batches import Dataset

Stop = Callable[[], bool]
"""Asked before every step of sampling."""


def never() -> bool:
    """Never stop."""
    return False


@dataclass(frozen=True)
class Example:
    """The inputs sampled every `sample_every` steps. hint: (1, channels, H, W), 0..1. prompt, empty: one row each."""

    hint: Tensor
    prompt: Prompt
    empty: Prompt


@dataclass(frozen=True)
class Sampling:
    """How the strip is sampled. guidance: classifier-free; 1 is none, at half the cost."""

    steps: int = 20
    guidance: float = 5.0
    seed: int = 0


@dataclass(frozen=True)
class SampleRow:
    """One row of the strip, (3, H, W) each, 0..1."""

    hint: Tensor
    controlled: Tensor
    uncontrolled: Tensor


def take_examples(dataset: Dataset, count: int = 2) -> list[Example]:
    """The first pairs of the dataset as examples."""
    batches = [dataset.batch([index]) for index in range(min(count, len(dataset)))]
    return [Example(batch.hints, batch.prompts, batch.empty) for batch in batches]


class Strip:
    """Samples the examples with one fixed seed. Samples without control never change, and are made once."""

    def __init__(self, base: BaseModel, examples: Sequence[Example], sampling: Sampling | None = None) -> None:
        self._base, self._examples, self._sampling = base, list(examples), sampling or Sampling()
        self._uncontrolled: dict[int, Tensor] = {}

    @torch.no_grad()
    def draw(self, control: ControlNet, stop: Stop = never) -> list[SampleRow]:
        """Sample every example with the control and without. Raises Interrupted when `stop` says so."""
        self._base.prepare("sample")
        drawn = []
        for number, example in enumerate(self._examples):
            if number not in self._uncontrolled:
                self._uncontrolled[number] = sample_image(self._base, None, example, self._sampling, stop)
            controlled = sample_image(self._base, control, example, self._sampling, stop)
            drawn.append(SampleRow(example.hint[0, :3], controlled, self._uncontrolled[number]))
        return drawn


@torch.no_grad()
def sample_image(
    base: BaseModel, control: ControlNet | None, example: Example, sampling: Sampling, stop: Stop = never
) -> Tensor:
    """One picture by deterministic DDIM (Song et al. 2021, equation 12): (3, H, W), 0..1, on the CPU.

    Raises Interrupted when `stop` says so.
    """
    height, width = example.hint.shape[-2:]
    generator = torch.Generator().manual_seed(sampling.seed)
    x = torch.randn((1, 4, height // 8, width // 8), generator=generator).to(base.device)
    predict = _Predictor(base, control, example, sampling.guidance)
    last = len(base.schedule.alphas_cumprod) - 1
    # The last level is followed by the clean picture, as the samplers of the hosts do.
    times = torch.linspace(last, 0, sampling.steps + 1).round().long()[:-1].to(base.device)
    x = ddim(base.schedule, predict, x, times, stop)
    return base.decode_latents(x)[0].float().clamp(0, 1).cpu()


def ddim(
    schedule: NoiseSchedule,
    predict: Callable[[Tensor, Tensor], Tensor],
    noise: Tensor,
    times: Tensor,
    stop: Stop = never,
) -> Tensor:
    """From unit `noise` (B, C, h, w) to latents, through the falling timesteps `times` and then to the clean picture.

    predict: (noisy latents, timestep (1,)) -> what the UNet says. Raises Interrupted when `stop` says so.
    """
    x = noise
    for number, time in enumerate(times):
        if stop():
            raise Interrupted
        now = time[None]
        x, spread = schedule.estimate(x, predict(x, now), now)
        for after in times[number + 1 : number + 2]:
            x = schedule.add_noise(x, spread, after[None])
    return x


class _Predictor:
    """The guided prediction of base model and control together."""

    def __init__(self, base: BaseModel, control: ControlNet | None, example: Example, guidance: float) -> None:
        self._base, self._control, self._guidance = base, control, guidance
        self._rows = 1 if guidance == 1 else 2
        prompts = [example.prompt] if guidance == 1 else [example.prompt, example.empty]
        self._prompt = join_prompts(prompts).to(base.device)
        if control is not None:
            self._hint = control.embed_hint(example.hint.to(base.device).expand(self._rows, -1, -1, -1))
            self._projected = control.project_context(self._prompt.context)

    def __call__(self, x: Tensor, time: Tensor) -> Tensor:
        rows, times = x.repeat(self._rows, 1, 1, 1), time.repeat(self._rows)
        prediction = self._base.predict(rows, times, self._prompt, self._residuals(rows, times))
        if self._rows == 1:
            return prediction
        wanted, other = prediction.chunk(2)
        return other + self._guidance * (wanted - other)

    def _residuals(self, x: Tensor, times: Tensor) -> Residuals | None:
        if self._control is None:
            return None
        return self._control(Inputs(x, times, self._prompt.vector), self._hint, self._projected)


def join_strip(rows: Sequence[SampleRow]) -> Image.Image:
    """One picture with a row for each example: hint, sample with control, sample without."""
    lines = [torch.cat([row.hint, row.controlled, row.uncontrolled], dim=2) for row in rows]
    widest = max(line.shape[2] for line in lines)
    padded = [torch.nn.functional.pad(line, (0, widest - line.shape[2])) for line in lines]
    pixels = torch.cat(padded, dim=1).permute(1, 2, 0).clamp(0, 1).mul(255).round().byte()
    return Image.fromarray(pixels.numpy())

"""A latent diffusion model of a few thousand weights, whose pictures are of bright and dark squares."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from zeroconv.controlnet.networks.blocks import Parts, Pass, ResBlock, SpatialTransformer, Stage, TransformerLayer
from zeroconv.controlnet.networks.layers import timestep_embedding, torch_attention
from zeroconv.controlnet.residuals import Residuals
from zeroconv.training.base import NoiseSchedule, Phase, Prompt
from zeroconv.training.pairs.batches import Batch, TensorDataset

WIDTH, TOKENS, CONTEXT, SIDE, TIMESTEPS = 32, 4, 768, 4, 50


class ToyUNet(nn.Module):
    """Two input blocks, a middle with attention, two output blocks, in LDM names."""

    def __init__(self) -> None:
        super().__init__()
        width, time = WIDTH, 4 * WIDTH
        self.time_embed = nn.Sequential(nn.Linear(width, time), nn.SiLU(), nn.Linear(time, time))
        first = nn.Sequential(nn.Conv2d(4, width, 3, padding=1))
        self.input_blocks = nn.ModuleList([first, Stage([ResBlock(width, width, time, nn)])])
        attention = SpatialTransformer(width, 8, [0], Parts(nn, torch_attention, CONTEXT, False))
        self.middle_block = Stage([ResBlock(width, width, time, nn), attention, ResBlock(width, width, time, nn)])
        self.output_blocks = nn.ModuleList(Stage([ResBlock(2 * width, width, time, nn)]) for _ in range(2))
        self.out = nn.Sequential(nn.GroupNorm(32, width), nn.SiLU(), nn.Conv2d(width, 4, 3, padding=1))

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor, residuals: Residuals | None) -> Tensor:
        projected = [m.project(context) for m in self.modules() if isinstance(m, TransformerLayer)]
        emb = nn.functional.silu(self.time_embed(timestep_embedding(timesteps, WIDTH)))
        flow = Pass(emb, projected, x.shape[0], {})
        skips = [self.input_blocks[0](x)]
        skips.append(self.input_blocks[1](skips[0], flow))
        h = self.middle_block(skips[-1], flow)
        if residuals is not None:
            h = h + residuals.middle[0]
            skips = [skip + extra for skip, extra in zip(skips, residuals.output, strict=True)]
        for block in self.output_blocks:
            h = block(torch.cat([h, skips.pop()], 1), flow)
        return self.out(h)


class ToyBase:
    """A base model as training sees it."""

    device = torch.device("cpu")
    family = "SD1.5"
    fingerprint = "toy"

    def __init__(self, seed: int = 0, prediction: str = "eps") -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.unet = ToyUNet()
        shares = torch.cumprod(1 - torch.linspace(0.01, 0.2, TIMESTEPS), 0)
        self.schedule = NoiseSchedule(shares, prediction)
        self.phases: list[Phase] = []
        self.unet.eval().requires_grad_(False)

    def unet_weights(self) -> Mapping[str, Tensor]:
        return self.unet.state_dict()

    def prepare(self, phase: Phase) -> None:
        self.phases.append(phase)

    def predict(self, x: Tensor, timesteps: Tensor, prompt: Prompt, residuals: Residuals | None) -> Tensor:
        return self.unet(x, timesteps, prompt.context, residuals)

    def encode_images(self, images: Tensor) -> Tensor:
        small = nn.functional.avg_pool2d(images, 8).mean(1, keepdim=True)
        return (2 * small - 1).repeat(1, 4, 1, 1)

    def decode_latents(self, latents: Tensor) -> Tensor:
        grey = (latents.mean(1, keepdim=True) / 2 + 0.5).clamp(0, 1)
        return nn.functional.interpolate(grey, scale_factor=8).repeat(1, 3, 1, 1)

    def encode_prompts(self, prompts: Sequence[str], height: int, width: int) -> Prompt:
        rows = []
        for prompt in prompts:
            generator = torch.Generator().manual_seed(sum(prompt.encode()))
            rows.append(torch.randn(TOKENS, CONTEXT, generator=generator))
        return Prompt(torch.stack(rows))


def toy_samples(count: int = 16, seed: int = 0) -> Batch:
    """Squares of a latent pixel each, bright or dark by chance; the hint tells which: white or black."""
    generator = torch.Generator().manual_seed(seed)
    bright = torch.randint(2, (count, 1, SIDE, SIDE), generator=generator).float()
    latents = (2 * bright - 1).repeat(1, 4, 1, 1)
    hints = nn.functional.interpolate(bright, scale_factor=8).repeat(1, 3, 1, 1)
    base = ToyBase()
    return Batch(latents, hints, base.encode_prompts(["x"] * count, 0, 0), base.encode_prompts([""], 0, 0))


def toy_dataset(count: int = 16, seed: int = 0) -> TensorDataset:
    return TensorDataset(toy_samples(count, seed))


def trained_toy_base(steps: int = 200) -> ToyBase:
    """A toy base that has learned its pictures, without knowing which squares are wanted."""
    base = ToyBase()
    base.unet.requires_grad_(True)
    optimizer = torch.optim.Adam(base.unet.parameters(), 2e-3)
    samples = toy_samples(32, seed=1)
    generator = torch.Generator().manual_seed(2)
    for _ in range(steps):
        timesteps = torch.randint(TIMESTEPS, (32,), generator=generator)
        noise = torch.randn(samples.latents.shape, generator=generator)
        x = base.schedule.add_noise(samples.latents, noise, timesteps)
        loss = (base.predict(x, timesteps, samples.prompts, None) - noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    base.unet.requires_grad_(False)
    return base

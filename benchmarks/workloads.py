"""The workloads W1 to W10: the ways in which people use ControlNets."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from .measuring.machine import Attention, Precision

Family = Literal["SD1.5", "SDXL"]
Cache = Literal["EasyCache", "LazyCache"]


@dataclass(frozen=True)
class Use:
    """One ControlNet of a chain. number: which hint; start, end: 0..1 of the timesteps."""

    number: int = 1
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    positive_only: bool = False


@dataclass(frozen=True)
class Scale:
    """How large everything is. width: channels of the first level, 320 in the real models. latent: side of the latent.

    rank: of a Control-LoRA.
    """

    width: int = 320
    latent: int = 32
    rank: int = 128


@dataclass(frozen=True)
class Workload:
    """One question.

    passes: side of the latent in each sampling, as a multiple of the scale's. steps: of each sampling. lora: the
    ControlNet comes as a Control-LoRA. other_precision: also with our ControlNet in fewer bits. attentions: of
    ComfyUI's own networks on a CPU; at a GPU it is the host's choice.
    """

    name: str
    title: str
    uses: tuple[Use, ...] = (Use(),)
    family: Family = "SD1.5"
    batch: int = 1
    passes: tuple[float, ...] = (1.0,)
    steps: int = 2
    lora: bool = False
    cache: Cache | None = None
    low_memory: bool = False
    other_precision: bool = False
    attentions: tuple[Attention, ...] = ("sdpa",)
    precision: Precision = "auto"
    scale: Scale = Scale()

    @property
    def whole(self) -> bool:
        """Whether its steps differ, so that only whole samplings can be compared."""
        return bool(self.cache) or len(self.passes) > 1 or any((use.start, use.end) != (0, 1) for use in self.uses)

    @property
    def label(self) -> str:
        """The name, with the size in pixels."""
        return f"{self.name} at {8 * self.scale.latent} px"

    def scaled(self, scale: Scale, steps: int | None = None) -> "Workload":
        """At another scale, with so many steps in each sampling; caches need some to act."""
        if steps is None:
            return replace(self, scale=scale)
        return replace(self, scale=scale, steps=max(steps, self.steps) if self.cache else steps)


CHAIN = (Use(1, 0.8), Use(2, 0.6), Use(3, 1.2))

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("W1", "SD1.5, one ControlNet", attentions=("sdpa", "default"), other_precision=True),
        Workload("W2", "SD1.5, three ControlNets in a chain", CHAIN),
        Workload("W3", "SDXL, one ControlNet", family="SDXL", precision="bf16"),
        Workload("W4", "SD1.5, in the first half of the steps", (Use(end=0.5),), steps=4),
        Workload("W5", "SD1.5, on the positive prompt only", (Use(positive_only=True),)),
        Workload("W6", "SD1.5, four pictures with a hint each", batch=4),
        Workload("W7", "SD1.5, two samplers, the second larger", passes=(1.0, 1.5)),
        Workload("W8", "SD1.5, a Control-LoRA of rank 128", lora=True),
        Workload("W9", "SDXL in 8 GB of GPU memory", family="SDXL", low_memory=True),
        Workload("W10", "SD1.5 with EasyCache", cache="EasyCache", steps=8),
        Workload("W10L", "SD1.5 with LazyCache", cache="LazyCache", steps=8),
    )
}


def choose(text: str, latent: Mapping[Family, int], steps: int | None = None) -> list[Workload]:
    """Workloads by their names: 'W1,W2', or 'W1@64' for another side of the latent than the family's.

    Raises ValueError for a name that there is not.
    """
    chosen = []
    for part in text.split(","):
        name, _, side = part.strip().partition("@")
        if name not in WORKLOADS:
            raise ValueError(f"There is no workload '{name}'. Choose from {', '.join(WORKLOADS)}.")
        workload = WORKLOADS[name]
        chosen.append(workload.scaled(Scale(latent=int(side or latent[workload.family])), steps))
    return chosen

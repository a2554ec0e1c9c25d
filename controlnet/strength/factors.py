"""All that shapes how much one control acts: where in the sampling, the depth, the picture, the batch, the guidance.

strength at one residual = strength x schedule(step) x block weight x mask(region) x side x item.
"""

from dataclasses import dataclass, replace

from ..hint.order import HintOrder, ItemStrengths, hint_indices
from .block_weights import BlockWeights, needed
from .control_mode import ControlMode, Sides
from .mask import Mask
from .scaling import Scales
from .schedule import Schedule
from .timeline import Progress, RangeCounting, Span


@dataclass(frozen=True)
class Rows:
    """Which rows a step has: for each group the same pictures, group after group.

    groups: the host's `cond_or_uncond`, 1 for the negative prompt. pictures: rows of a group. window: in context
    windows the frames that the pictures are. total: frames of the whole video, if known.
    """

    groups: tuple[int, ...]
    pictures: int
    window: tuple[int, ...] | None = None
    total: int | None = None

    @property
    def frames(self) -> tuple[int, ...]:
        return self.window if self.window is not None else tuple(range(self.pictures))


@dataclass(frozen=True, eq=False)
class Influence:
    """The factors of one control. A factor left None costs nothing."""

    counting: RangeCounting = "timesteps"
    schedule: Schedule | None = None
    block_weights: BlockWeights | None = None
    sides: Sides | None = None
    items: ItemStrengths | None = None
    mask: Mask | None = None

    def in_mode(self, mode: ControlMode) -> "Influence":
        """With the mode's sides and block weights; weights given later overrule the mode's (as in sd-webui)."""
        return replace(self, sides=mode.sides, block_weights=mode.block_weights)

    def simplified(self) -> "Influence":
        """Without factors that are one everywhere."""
        ones = [
            name
            for name in ("schedule", "sides", "items", "mask")
            if (factor := getattr(self, name)) is not None and factor.is_one
        ]
        return replace(self, **dict.fromkeys(ones, None))

    @property
    def is_zero(self) -> bool:
        """Whether the control acts nowhere: then the network need not run at all."""
        return any(factor is not None and factor.is_zero for factor in (self.schedule, self.sides, self.mask))

    def step_factor(self, progress: Progress, sigma: float, start: float = 0.0, end: float = 1.0) -> float:
        """The factor at this sigma; 0 outside the range start..end, which is counted by `counting`."""
        if not progress.inside(sigma, Span(start, end, self.counting)):
            return 0.0
        if self.schedule is None:
            return 1.0
        return self.schedule.factor(progress.position(sigma, self.schedule.counting))

    def plan(self, progress: Progress, start: float = 0.0, end: float = 1.0) -> tuple[float, ...]:
        """The factor at every step of a run; the network runs where it is not 0."""
        if self.is_zero:
            return (0.0,) * progress.steps
        return tuple(self.step_factor(progress, sigma, start, end) for sigma in progress.sigmas[: progress.steps])

    def residual_factors(self, count: int) -> tuple[float, ...] | None:
        """A factor for each of `count` residuals in order of depth, or None when all are one."""
        factors = self.block_weights.factors(count) if self.block_weights is not None else ()
        return factors if any(factor != 1 for factor in factors) else None

    def needed(self, count: int) -> int:
        """How many of `count` residuals have to be computed, from the shallowest on."""
        factors = self.residual_factors(count)
        return count if factors is None else needed(factors)

    @property
    def counts_steps(self) -> bool:
        """Whether it depends on the steps of the run, and not on the noise level alone."""
        counting = self.schedule.counting if self.schedule is not None else "timesteps"
        return self.counting.startswith("steps") or counting.startswith("steps")

    def rows(self, rows: Rows) -> tuple[float, ...] | None:
        """A factor for each row of a step, or None when all are one. Rows of factor 0 need not be computed."""
        if self.sides is None and self.items is None:
            return None
        sides = self.sides.factors(rows.groups) if self.sides is not None else (1.0,) * len(rows.groups)
        items = (1.0,) * rows.pictures
        if self.items is not None:
            total = rows.pictures if rows.window is None else rows.total
            items = self.items.at_frames(rows.frames, total)
        combined = tuple(side * item for side in sides for item in items)
        return combined if any(factor != 1 for factor in combined) else None

    def scales(
        self,
        strength: float,
        count: int,
        rows: Rows,
        latent_size: tuple[int, int],
        order: HintOrder = "one each",
    ) -> Scales:
        """All factors of a step together, for `scale_residuals`. strength: with the step's factor in it.

        count: of residuals. order: how a batch of masks is spread over the pictures.
        """
        mask_rows = ()
        if self.mask is not None:
            mask_rows = hint_indices(self.mask.pictures, rows.pictures, order, rows.window, "mask") * len(rows.groups)
        return Scales(strength, self.residual_factors(count), self.rows(rows), self.mask, mask_rows, latent_size)

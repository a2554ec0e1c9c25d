"""All that shapes how much one control acts: where in the sampling, the depth, the picture, the batch, the guidance.

strength at one residual = strength x schedule(step) x block weight x mask(region) x CFG weight x item.
"""

from dataclasses import dataclass, replace

from ..hint.order import HintOrder, hint_indices
from .block_weights import BlockWeights, needed
from .cfg_weights import CfgWeights
from .control_mode import ControlMode
from .mask import Mask
from .per_item import ItemStrengths
from .scaling import Scales
from .schedule import Schedule
from .timeline import RangeCounting, SamplingTimeline, Span


@dataclass(frozen=True)
class StepRows:
    """Which rows a step has: a group of rows for each prompt, with the same items of the batch in each.

    negative: whether each group belongs to the negative prompt. item_count: rows of a group. window: in context
    windows the frames that the items are. total: frames of the whole video, if known.
    """

    negative: tuple[bool, ...]
    item_count: int
    window: tuple[int, ...] | None = None
    total: int | None = None

    @property
    def frames(self) -> tuple[int, ...]:
        return self.window if self.window is not None else tuple(range(self.item_count))


@dataclass(frozen=True, eq=False)
class StrengthFactors:
    """The factors of one control. A factor left None costs nothing."""

    counting: RangeCounting = "timesteps"
    schedule: Schedule | None = None
    block_weights: BlockWeights | None = None
    cfg_weights: CfgWeights | None = None
    items: ItemStrengths | None = None
    mask: Mask | None = None

    def in_mode(self, mode: ControlMode) -> "StrengthFactors":
        """With the mode's CFG weights and block weights; weights given later overrule the mode's (as in sd-webui)."""
        return replace(self, cfg_weights=mode.cfg_weights, block_weights=mode.block_weights)

    def simplified(self) -> "StrengthFactors":
        """Without factors that are one everywhere."""
        ones = [
            name
            for name in ("schedule", "cfg_weights", "items", "mask")
            if (factor := getattr(self, name)) is not None and factor.is_one
        ]
        return replace(self, **dict.fromkeys(ones, None))

    @property
    def is_zero(self) -> bool:
        """Whether the control acts nowhere: then the network need not run at all."""
        return any(factor is not None and factor.is_zero for factor in (self.schedule, self.cfg_weights, self.mask))

    def step_factor(self, timeline: SamplingTimeline, sigma: float, start: float = 0.0, end: float = 1.0) -> float:
        """The factor at this sigma; 0 outside the range start..end, which is counted by `counting`."""
        if not timeline.inside(sigma, Span(start, end, self.counting)):
            return 0.0
        if self.schedule is None:
            return 1.0
        return self.schedule.factor(timeline.position(sigma, self.schedule.counting))

    def plan(self, timeline: SamplingTimeline, start: float = 0.0, end: float = 1.0) -> tuple[float, ...]:
        """The factor at every step of a run; the network runs where it is not 0."""
        if self.is_zero:
            return (0.0,) * timeline.steps
        return tuple(self.step_factor(timeline, sigma, start, end) for sigma in timeline.sigmas[: timeline.steps])

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

    def rows(self, rows: StepRows) -> tuple[float, ...] | None:
        """A factor for each row of a step, or None when all are one. Rows of factor 0 need not be computed."""
        if self.cfg_weights is None and self.items is None:
            return None
        cfg_weights = (
            self.cfg_weights.factors(rows.negative) if self.cfg_weights is not None else (1.0,) * len(rows.negative)
        )
        items = (1.0,) * rows.item_count
        if self.items is not None:
            total = rows.item_count if rows.window is None else rows.total
            items = self.items.at_frames(rows.frames, total)
        combined = tuple(weight * item for weight in cfg_weights for item in items)
        return combined if any(factor != 1 for factor in combined) else None

    def scales(
        self,
        strength: float,
        count: int,
        rows: StepRows,
        latent_size: tuple[int, int],
        order: HintOrder = "one each",
    ) -> Scales:
        """All factors of a step together, for `scale_residuals`. strength: with the step's factor in it.

        count: of residuals. order: how a batch of masks is spread over the pictures.
        """
        mask_rows = ()
        if self.mask is not None:
            mask_rows = hint_indices(self.mask.pictures, rows.item_count, order, rows.window, "mask") * len(
                rows.negative
            )
        return Scales(strength, self.residual_factors(count), self.rows(rows), self.mask, mask_rows, latent_size)

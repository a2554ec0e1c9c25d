"""The settings of a control that ComfyUI itself does not have."""

from dataclasses import dataclass, field

from ...controlnet.caching.run_interval import RunInterval
from ...controlnet.hint.fit import Fit
from ...controlnet.hint.inpaint import Inpaint
from ...controlnet.hint.order import HintOrder
from ...controlnet.networks.union import UnionHint
from ...controlnet.strength.factors import StrengthFactors


@dataclass(frozen=True, eq=False)
class ControlSettings:
    """All that our nodes set on a control; a copy of the control has the same.

    factors: how much it acts, over the steps, the depth, the picture, the batch and the prompts. fit, hint_order: how
    its hints meet the picture and the items of the batch. frames: of a video, the frame of each hint; none: evenly
    spread. own_region: whether a region of the picture gets the part of the hint that lies there, and not all of it.
    run_interval: at which steps its network runs; None: at all. measured: whether to record the sizes of what it adds.
    union_hints: more hints of a union network, beside the one that Apply gives. inpaint: the picture to complete and
    its mask, for networks that take them beside a hint.
    """

    factors: StrengthFactors = field(default_factory=StrengthFactors)
    fit: Fit = field(default_factory=Fit)
    hint_order: HintOrder = "one each"
    frames: tuple[int, ...] = ()
    own_region: bool = False
    run_interval: RunInterval | None = None
    measured: bool = False
    union_hints: tuple[UnionHint, ...] = ()
    inpaint: Inpaint | None = None

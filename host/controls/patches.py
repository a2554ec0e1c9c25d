"""Controls that act as patches inside the base model's own run, for one step at a time, and give no residuals."""

from abc import abstractmethod
from typing import Any

from ...controlnet.residuals import Residuals
from ...controlnet.strength.scaling import Scales
from ..sampling.lazy_residuals import PARTS, Control
from ..sampling.request import StepRequest
from .loaded_network import LoadedControl, LoadedNetwork, Network


class PatchingControl(LoadedControl[Network]):
    """A control whose `evaluate` writes patches into the options of the step, which the base model reads."""

    acts_at_once = True
    divisible = False

    def __init__(self, loaded: LoadedNetwork[Network]) -> None:
        super().__init__(loaded)
        self.output_count = 0

    @abstractmethod
    def patch(self, request: StepRequest) -> None:
        """Add the patches of this step."""

    def evaluate(self, request: StepRequest, needed: int) -> Residuals:
        """Give the host patches for this step, in its own dictionary of the step; there are no residuals."""
        self.patch(request)
        return Residuals((), ())

    def _act(self, request: StepRequest, needed: int, strength: float, previous: Control | None) -> Control:
        """At every step: a patch acts inside the base model's own run. The residuals are those of others, untouched."""
        self.record.note(request.step.sigma, True, self.evaluate(request, needed))
        return previous or {part: [] for part in PARTS}

    def scales(self, request: StepRequest) -> Scales:
        """All factors of this step, for whoever acts on the tokens."""
        x = request.x
        strength = self._strength(request.step, request.options)
        size = (x.shape[-2], x.shape[-1])
        return self.factors.scales(strength, self.residual_count, request.rows, size, self.hint_order)

    def hint_of_pictures(self, request: StepRequest) -> list[int] | None:
        """The number of the hint of each picture that counts; None when they take all hints in order, or share one."""
        rows, count = request.rows, self.cond_hint_original.shape[0]
        order = self.given_out(count, rows)
        chosen = [order[picture] for picture in request.pictures]
        return None if count == 1 or chosen == list(range(count)) else chosen


class OurPatch:
    """Something that the host calls inside the base model, and that a control of ours put there."""


def add_patch(options: dict[str, Any], place: str, patch: Any) -> None:
    """Add a patch to a step's options: ours in the order of the chain, and before those of other packs.

    Those may change the number of tokens.
    """
    patches = dict(options.get("patches") or {})
    before = patches.get(place, [])
    ours = [other for other in before if isinstance(other, OurPatch)]
    others = [other for other in before if not isinstance(other, OurPatch)]
    patches[place] = [*ours, patch, *others]
    options["patches"] = patches

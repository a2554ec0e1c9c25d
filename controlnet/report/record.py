"""A record of one control's last sampling: how often its network ran, and how much it added to the model."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..residuals import Residuals


@dataclass(frozen=True)
class Moment:
    """One time that a control acted. sigma: the noise level. ran: whether its network did, or its residuals were kept.

    sizes: (residuals,) root mean square of each residual as it was added, in order of depth, on its device; None when
    nobody asked.
    """

    sigma: float
    ran: bool
    sizes: Tensor | None


@dataclass
class Record:
    """Moments in the order of sampling. measuring: whether sizes are to be taken."""

    measuring: bool = False
    moments: list[Moment] = field(default_factory=list)

    def note(self, sigma: float, ran: bool, residuals: Residuals) -> None:
        """Remember that these residuals, with all factors in them, were given."""
        sizes = None
        if self.measuring and residuals.count:
            sizes = torch.stack([r.float().square().mean().sqrt() for r in residuals.flat])
        self.moments.append(Moment(sigma, ran, sizes))

    @property
    def runs(self) -> int:
        return sum(moment.ran for moment in self.moments)

    @property
    def saved(self) -> int:
        """Runs that kept residuals stood in for."""
        return len(self.moments) - self.runs

    def sizes(self) -> list[tuple[float, bool, list[float]]]:
        """(sigma, whether the network ran, size of each residual) for each noise level, falling; means of its moments.

        Empty when sizes were not taken.
        """
        levels: dict[float, list[Moment]] = {}
        for moment in self.moments:
            if moment.sizes is not None:
                levels.setdefault(moment.sigma, []).append(moment)
        return [
            (sigma, any(m.ran for m in moments), _mean([m.sizes for m in moments if m.sizes is not None]))
            for sigma, moments in sorted(levels.items(), reverse=True)
        ]


def _mean(sizes: list[Tensor]) -> list[float]:
    return torch.stack([size.cpu() for size in sizes]).mean(0).tolist()

"""The callbacks of the training loop, and the state that they are shown."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from torch import Tensor

from ..controlnet.networks.controlnet import ControlNet
from .processes import Processes
from .report.progress import Progress


class RunningTraining(Protocol):
    """The loop, as callbacks see it. Every process must make the calls: the weights may be spread over all of them."""

    processes: Processes

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        ...

    def network(self) -> AbstractContextManager[ControlNet]:
        """The network to sample with, with averaged weights if there are any."""
        ...

    def weights(self) -> Mapping[str, Tensor]:
        """The ControlNet's state dict in LDM keys, averaged if averaging is on."""
        ...

    def state(self) -> dict[str, Any]:
        """All that a later training needs to continue this one."""
        ...


class Callbacks:
    """Callbacks of the loop; override those that are wanted. All are called in every process.

    `stepped` and `sample` may raise Interrupted.
    """

    def stepped(self, progress: Progress) -> None:
        """Called after every step."""

    def sample(self, training: RunningTraining) -> None:
        """Called every `sample_every` steps, before the first and after the last; where that is 0, only at the end."""

    def lacks_sample(self, step: int) -> bool:
        """Whether a training that goes on at a step for which `sample` is due was ended before it."""
        return False

    def save(self, training: RunningTraining) -> None:
        """Called every `save_every` steps, at the end and after an interrupt: write `training.state()`."""

    def interrupted(self) -> bool:
        """Whether to stop. Called before every pass."""
        return False

"""The processes that train together: this one alone, or several through Hugging Face Accelerate."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn


class Processes:
    """This process alone; the base class of several."""

    count = 1
    index = 0

    def prepare(self, module: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Tie the module's gradients to those of the other processes."""
        return module, optimiser

    def passing(self, module: nn.Module, last: bool) -> AbstractContextManager[Any]:
        """Around one pass; gradients are exchanged in the last pass of a step only."""
        return nullcontext()

    def mean(self, value: float) -> float:
        """The value's mean over all processes."""
        return value

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in one of the processes."""
        return flag

    @property
    def main(self) -> bool:
        """Whether this process writes the files and speaks to the user."""
        return self.index == 0


class AcceleratedProcesses(Processes):
    """Several processes started by `accelerate launch`, with replicated weights (DDP)."""

    def __init__(self) -> None:
        try:
            from accelerate import Accelerator  # optional, and slow to import
        except ImportError as error:
            raise ValueError(
                "Training in several processes needs the package accelerate: install it (pip install accelerate)."
            ) from error
        self._accelerator = Accelerator()
        if self._accelerator.distributed_type.value in ("FSDP", "DEEPSPEED", "MEGATRON_LM"):
            raise ValueError(
                f"Training through {self._accelerator.distributed_type.value} is not supported. "
                "Choose plain multi-GPU (DDP) in `accelerate config`."
            )
        self.count = self._accelerator.num_processes
        self.index = self._accelerator.process_index
        self.device = self._accelerator.device

    def prepare(self, module: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
        return self._accelerator.prepare_model(module), optimiser

    def passing(self, module: nn.Module, last: bool) -> AbstractContextManager[Any]:
        return nullcontext() if last else self._accelerator.no_sync(module)

    def mean(self, value: float) -> float:
        # float64 does not exist on every device.
        single = torch.tensor([value], dtype=torch.float32, device=self.device)
        return self._accelerator.reduce(single, "mean").item()  # pyright: ignore[reportAttributeAccessIssue]

    def any(self, flag: bool) -> bool:
        return self.mean(float(flag)) > 0

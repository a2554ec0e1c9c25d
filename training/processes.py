"""The processes that train together: this one alone, or several through Hugging Face Accelerate."""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn


class LostProcess(ValueError):
    """Another process ended, and this one cannot go on."""


class Processes:
    """This process alone; the base class of several."""

    count = 1
    index = 0
    sharded = False
    """Whether a process alone holds only a part of the weights."""

    def prepare(self, module: nn.Module) -> nn.Module:
        """Tie the module's gradients to those of the other processes; its parameters may be replaced."""
        return module

    def whole(self, value: Any) -> Any:
        """Tensors, in dicts and lists of any depth, with all their parts; every process must ask."""
        return value

    def part(self, value: Tensor, like: Tensor) -> Tensor:
        """This process's part of a whole tensor that takes the place of `like`."""
        return value

    def accumulating(self, module: nn.Module, last: bool) -> AbstractContextManager[Any]:
        """Wraps one pass; gradients are exchanged between processes in the last pass of a step only."""
        return nullcontext()

    def mean(self, value: float) -> float:
        """The value's mean over all processes."""
        return value

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in one of the processes."""
        return flag

    def gather(self, values: list[Any]) -> list[Any]:
        """The values of all processes in one list; every process must call it, and waits for the others."""
        return values

    def noticing_loss(self) -> AbstractContextManager[Any]:
        """Wraps work that needs all processes: raises LostProcess when one of them has ended."""
        return nullcontext()

    def finish(self, status: int = 0) -> int:
        """The last call of a program: returns its exit status, or ends one of several processes with it at once."""
        return status

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
        if self._accelerator.distributed_type.value in ("DEEPSPEED", "MEGATRON_LM"):
            raise ValueError(
                f"Training through {self._accelerator.distributed_type.value} is not supported. "
                "Choose plain multi-GPU (DDP) or FSDP in `accelerate config`."
            )
        self.count = self._accelerator.num_processes
        self.index = self._accelerator.process_index
        self.device = self._accelerator.device

    def prepare(self, module: nn.Module) -> nn.Module:
        return self._accelerator.prepare_model(module)

    def accumulating(self, module: nn.Module, last: bool) -> AbstractContextManager[Any]:
        return nullcontext() if last else self._accelerator.no_sync(module)

    def mean(self, value: float) -> float:
        # float64 does not exist on every device.
        single = torch.tensor([value], dtype=torch.float32, device=self.device)
        return self._accelerator.reduce(single, "mean").item()  # pyright: ignore[reportAttributeAccessIssue]

    def any(self, flag: bool) -> bool:
        return self.mean(float(flag)) > 0

    def gather(self, values: list[Any]) -> list[Any]:
        from accelerate.utils import gather_object

        return list(gather_object(values))

    @contextmanager
    def noticing_loss(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            # NCCL raises a DistError, gloo a plain RuntimeError that names its source file.
            lost = isinstance(error, torch.distributed.DistError) or "gloo" in str(error)
            if not lost:
                raise
            raise LostProcess(
                "another process of this training has ended. What was saved last is whole: begin all processes again "
                "with the same line, and they go on from there."
            ) from error

    def finish(self, status: int = 0) -> int:
        # Everything is written. Taken down in order, the threads of PyTorch's process groups abort now and then.
        self._accelerator.wait_for_everyone()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


class ShardedProcesses(AcceleratedProcesses):
    """Each process keeps its share of weights, gradients and optimizer (FSDP, `torch.distributed.fsdp.fully_shard`).

    The network is one unit: its weights are whole during a pass and shared out between passes.
    """

    sharded = True

    def __init__(self) -> None:
        if not has_fsdp():
            raise ValueError(
                f"Training through FSDP needs PyTorch 2.6 or later, not {torch.__version__}. Update PyTorch, or choose "
                "plain multi-GPU (DDP) in `accelerate config`."
            )
        super().__init__()

    def prepare(self, module: nn.Module) -> nn.Module:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        fully_shard(module, mesh=init_device_mesh(self.device.type, (self.count,)))
        return module

    def whole(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.whole(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.whole(item) for item in value]
        return value.full_tensor() if hasattr(value, "full_tensor") else value

    def part(self, value: Tensor, like: Tensor) -> Tensor:
        from torch.distributed.tensor import DTensor, distribute_tensor

        if not isinstance(like, DTensor):
            return value
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)

    def accumulating(self, module: nn.Module, last: bool) -> AbstractContextManager[Any]:
        module.set_requires_gradient_sync(last)  # pyright: ignore[reportCallIssue]
        return nullcontext()


def has_fsdp() -> bool:
    """Whether this PyTorch has `fully_shard` as it is used here: from 2.6 on, where it also runs on CPUs."""
    import torch.distributed.fsdp

    return hasattr(torch.distributed.fsdp, "fully_shard")


def launched_processes() -> Processes:
    """The processes that `accelerate launch` has started, with DDP or FSDP; or this process alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes()
    return ShardedProcesses() if os.environ.get("ACCELERATE_USE_FSDP") == "true" else AcceleratedProcesses()

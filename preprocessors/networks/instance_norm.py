"""Instance normalisation without weights of its own."""

from torch import Tensor, nn


class InstanceNorm(nn.Module):
    """Each channel of each picture to mean 0 and variance 1.

    A group norm of one channel a group is the same, and faster than torch's instance norm. It is exact on tensors
    that lie channel after channel in memory; give the network such.
    """

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.group_norm(x, x.shape[1])

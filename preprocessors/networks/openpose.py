"""Convolutional pose machines: OpenPose's networks for the body, a hand and a face.

Sources: Wei et al., "Convolutional Pose Machines" (arXiv 1602.00134); Cao et al., "Realtime Multi-Person 2D Pose
Estimation using Part Affinity Fields" (arXiv 1611.08050); layer names of `body_pose_model.pth`,
`hand_pose_model.pth` and `facenet.pth` in the hub repository lllyasviel/Annotators.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .official import Ops, assemble, channels_last, unwrap

STRIDE = 8
"""Pixels of the picture per cell of the maps."""

_VGG: tuple[tuple[str, int], ...] = (
    ("conv1_1", 64), ("conv1_2", 64), ("pool", 0),
    ("conv2_1", 128), ("conv2_2", 128), ("pool", 0),
    ("conv3_1", 256), ("conv3_2", 256), ("conv3_3", 256), ("conv3_4", 256), ("pool", 0),
    ("conv4_1", 512), ("conv4_2", 512),
)  # fmt: skip
_DEEP_TRUNK = (
    *_VGG, ("conv4_3", 512), ("conv4_4", 512), ("conv5_1", 512), ("conv5_2", 512), ("conv5_3_CPM", 128),
)  # fmt: skip
_LAST_STAGE = 6
_FEATURES = 128


@dataclass(frozen=True)
class Machine:
    """The plan of one network.

    trunk: (name, output channels) of the 3x3 convolutions; `pool` halves the size.
    first_stage: (name, kernel size, output channels) of the first stage; 0 channels stand for the branch's maps.
    branches: (suffix of the layer names, number of maps) of each branch.
    rectified: suffix of the branch whose last maps pass a ReLU.
    """

    trunk: tuple[tuple[str, int], ...]
    first_stage: tuple[tuple[str, int, int], ...]
    branches: tuple[tuple[str, int], ...]
    rectified: str | None = None


BODY = Machine(
    trunk=(*_VGG, ("conv4_3_CPM", 256), ("conv4_4_CPM", 128)),
    first_stage=(
        *((f"conv5_{index}_CPM", 3, 128) for index in (1, 2, 3)), ("conv5_4_CPM", 1, 512), ("conv5_5_CPM", 1, 0),
    ),
    branches=(("_L1", 38), ("_L2", 19)),
    # The ported network lists its linear layers by name and misses this one; the weights are used with the ReLU.
    rectified="_L2",
)  # fmt: skip
HAND = Machine(_DEEP_TRUNK, (("conv6_1_CPM", 1, 512), ("conv6_2_CPM", 1, 0)), (("", 22),))
FACE = Machine(_DEEP_TRUNK, (("conv6_1_CPM", 1, 512), ("conv6_2_CPM", 1, 0)), (("", 71),))


class PoseMachine(nn.Module):
    """A VGG trunk and six stages, each of which refines the maps of the one before."""

    def __init__(self, machine: Machine, ops: Ops = nn) -> None:
        super().__init__()
        self.machine = machine
        channels = 3
        for name, width in machine.trunk:
            if name != "pool":
                self.add_module(name, ops.Conv2d(channels, width, 3, padding=1))
                channels = width
        stage_input = _FEATURES + sum(maps for _, maps in machine.branches)
        for stage in range(1, _LAST_STAGE + 1):
            for suffix, maps in machine.branches:
                channels = _FEATURES if stage == 1 else stage_input
                for name, kernel, width in self._stage(stage, suffix):
                    self.add_module(name, ops.Conv2d(channels, width or maps, kernel, padding=kernel // 2))
                    channels = width

    def _stage(self, stage: int, suffix: str) -> tuple[tuple[str, int, int], ...]:
        """(layer name, kernel size, output channels; 0 = the branch's maps) of one branch of one stage."""
        if stage == 1:
            return tuple((name + suffix, kernel, width) for name, kernel, width in self.machine.first_stage)
        shape = (*((7, _FEATURES),) * 5, (1, _FEATURES), (1, 0))
        return tuple((f"Mconv{i}_stage{stage}{suffix}", kernel, width) for i, (kernel, width) in enumerate(shape, 1))

    def _run_stage(self, stage: int, suffix: str, x: Tensor) -> Tensor:
        layers = [self.get_submodule(name) for name, _, _ in self._stage(stage, suffix)]
        for layer in layers[:-1]:
            x = layer(x).relu_()
        x = layers[-1](x)
        return x.relu_() if stage == _LAST_STAGE and suffix == self.machine.rectified else x

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """RGB (B, 3, H, W) in 0..1, H and W multiples of 8 -> the maps (B, maps, H/8, W/8) of each branch.

        Body: part affinity fields (38), then confidence maps (18 parts and the background). Hand: 21 points and
        the background. Face: 70 points and the background.
        """
        x = images.flip(1) * (255 / 256) - 0.5
        for name, _ in self.machine.trunk:
            x = nn.functional.max_pool2d(x, 2) if name == "pool" else self.get_submodule(name)(x).relu_()
        maps: tuple[Tensor, ...] = ()
        for stage in range(1, _LAST_STAGE + 1):
            entry = torch.cat([*maps, x], dim=1)
            maps = tuple(self._run_stage(stage, suffix, entry) for suffix, _ in self.machine.branches)
        return maps


def _build(machine: Machine, state_dict: Mapping[str, Any], ops: Ops) -> nn.Module:
    """Also accepts files saved from a network with sub-modules (`model2_1.Mconv1_stage2_L1.weight`)."""
    plain = {".".join(name.split(".")[-2:]): value for name, value in unwrap(state_dict).items()}
    return channels_last(assemble(lambda: PoseMachine(machine, ops), plain))


def build_body(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `body_pose_model.pth`."""
    return _build(BODY, state_dict, ops)


def build_hand(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `hand_pose_model.pth`."""
    return _build(HAND, state_dict, ops)


def build_face(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `facenet.pth`."""
    return _build(FACE, state_dict, ops)

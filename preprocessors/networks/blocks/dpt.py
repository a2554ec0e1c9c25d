"""The decoder of dense prediction transformers (Ranftl et al., arXiv 2103.13413): coarse maps fused into fine ones."""

from torch import Tensor, nn

from ..official import Ops


class ResidualUnit(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, width: int, ops: Ops) -> None:
        super().__init__()
        self.conv1 = ops.Conv2d(width, width, 3, padding=1)
        self.conv2 = ops.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(nn.functional.relu(self.conv1(nn.functional.relu(x))))


class Fusion(nn.Module):
    """Adds a map to the coarser result so far and enlarges the sum."""

    def __init__(self, width: int, ops: Ops) -> None:
        super().__init__()
        self.resConfUnit1 = ResidualUnit(width, ops)
        self.resConfUnit2 = ResidualUnit(width, ops)
        self.out_conv = ops.Conv2d(width, width, 1)

    def forward(self, features: Tensor, coarser: Tensor | None, size: tuple[int, int]) -> Tensor:
        """(B, C, h, w) and the result so far of the same size, or None at the start -> (B, C, *size)."""
        x = features if coarser is None else coarser + self.resConfUnit1(features)
        # The official order is the other one. A 1x1 convolution and an enlargement may change places: fewer points so.
        return enlarge(self.out_conv(self.resConfUnit2(x)), size)


class Scratch(nn.Module):
    """Four levels brought to one width and fused, coarsest first. Its name is that of the official weights."""

    layer1_rn: nn.Module
    refinenet1: Fusion

    def __init__(self, levels: tuple[int, ...], width: int, ops: Ops) -> None:
        super().__init__()
        for level, channels in enumerate(levels, 1):
            self.add_module(f"layer{level}_rn", ops.Conv2d(channels, width, 3, padding=1, bias=False))
        for level in range(1, len(levels) + 1):
            self.add_module(f"refinenet{level}", Fusion(width, ops))

    def fuse(self, levels: list[Tensor]) -> Tensor:
        """Levels, finest first, each (B, C_i, h_i, w_i) -> (B, width, 2 h_1, 2 w_1)."""
        return self.stages(levels)[1][-1]

    def stages(self, levels: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The coarsest level at the decoder's width, and the results so far after each level, coarsest first."""
        narrow = [self.get_submodule(f"layer{number}_rn")(level) for number, level in enumerate(levels, 1)]
        paths: list[Tensor] = []
        for level in range(len(levels), 0, -1):
            height, width = levels[level - 2].shape[2:] if level > 1 else (2 * size for size in levels[0].shape[2:])
            coarser = paths[-1] if paths else None
            paths.append(self.get_submodule(f"refinenet{level}")(narrow[level - 1], coarser, (height, width)))
        return narrow[-1], paths


def enlarge(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear with the corners kept, as the whole family was trained."""
    return nn.functional.interpolate(x, size=size, mode="bilinear", align_corners=True)

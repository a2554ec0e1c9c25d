"""ResNeXt (Xie et al., arXiv 1611.05431) with the weight names of torchvision."""

from torch import Tensor, nn

from ..official import Ops

GROUPS = 32
STAGES = ((256, 3), (512, 4), (1024, 23), (2048, 3))
"""(channels, blocks) of each stage of ResNeXt-101 32x8d, whose blocks are as wide within as outside."""


class _Bottleneck(nn.Module):
    def __init__(self, channels: int, width: int, stride: int, ops: Ops) -> None:
        super().__init__()
        self.conv1 = ops.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = ops.Conv2d(width, width, 3, stride=stride, padding=1, groups=GROUPS, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = ops.Conv2d(width, width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample = (
            nn.Identity()
            if channels == width
            else nn.Sequential(ops.Conv2d(channels, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu_()
        y = self.bn2(self.conv2(y)).relu_()
        return (self.bn3(self.conv3(y)) + self.downsample(x)).relu_()


class ResNeXt101(nn.Module):
    """(B, 3, H, W) -> four maps of 256, 512, 1024 and 2048 channels at 1/4, 1/8, 1/16 and 1/32 of the size."""

    def __init__(self, ops: Ops) -> None:
        super().__init__()
        self.conv1 = ops.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for number, (width, count) in enumerate(STAGES, 1):
            stride = 1 if number == 1 else 2
            first = _Bottleneck(channels, width, stride, ops)
            self.add_module(
                f"layer{number}", nn.Sequential(first, *(_Bottleneck(width, width, 1, ops) for _ in range(count - 1)))
            )
            channels = width

    def forward(self, x: Tensor) -> list[Tensor]:
        x = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu_(), 3, stride=2, padding=1)
        maps = []
        for number in range(1, len(STAGES) + 1):
            x = self.get_submodule(f"layer{number}")(x)
            maps.append(x)
        return maps

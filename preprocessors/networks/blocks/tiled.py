"""The interface of a line network that takes a large picture in tiles (see `preprocessors/line_maps.py`)."""

from typing import ClassVar

from torch import nn


class TiledNetwork(nn.Module):
    """A network whose every pixel depends on a bounded neighborhood only, so that tiles equal the whole picture.

    reach: how far it looks around a pixel, in pixels, a multiple of its strides.
    whole_tiles: pictures of up to so many tiles are not cut, since the surroundings would cost more than they save;
        more for a network that looks far.
    """

    reach: ClassVar[int]
    whole_tiles: ClassVar[int] = 2

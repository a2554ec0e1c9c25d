"""The camera of a photograph, for networks that want to know it."""

import math

from .description import Parameter

FIELD_OF_VIEW = Parameter(
    "field_of_view",
    "Field of view",
    60.0,
    "How wide the camera sees along the longer side: 60 for most photographs, 90 for a wide angle, 20 for a "
    "telephoto lens.",
    minimum=1.0,
    maximum=170.0,
    step=1.0,
    unit="degrees",
)


def focal_length(height: int, width: int, degrees: float) -> float:
    """The focal length in pixels of a camera whose longer side sees so many degrees."""
    return max(height, width) / 2 / math.tan(math.radians(degrees) / 2)

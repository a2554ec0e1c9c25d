"""From surface normals to the colors of a normal map: one list of conventions for all methods."""

from __future__ import annotations

from torch import Tensor

from .description import Parameter

V11, V10 = "v1.1 (red left, green up, blue front)", "v1.0 (red front, green up, blue left)"
OPENGL, DIRECTX = "OpenGL (red right, green up, blue front)", "DirectX (red right, green down, blue front)"
CONVENTIONS = (V11, V10, OPENGL, DIRECTX)
"""Which color tells which way a surface faces: as the ControlNets v1.1 and v1.0 were trained, of which v1.0's saw its
annotator's channels in reverse (`gradio_normal2image.py`), and as 3D programs and game engines keep normal maps."""

_CHANNELS = {
    V11: ((0, 1, 2), (1, 1, 1)),
    V10: ((2, 1, 0), (1, 1, 1)),
    OPENGL: ((0, 1, 2), (-1, 1, 1)),
    DIRECTX: ((0, 1, 2), (-1, -1, 1)),
}
"""For red, green and blue: the component of (left, up, front) and its sign."""


def convention_parameter(default: str, appended: bool = False) -> Parameter:
    """The setting of which color is which direction."""
    return Parameter(
        "convention",
        "Convention",
        default,
        "What the colors mean: as the v1.1 (BAE) or the v1.0 normal ControlNet was trained, or as OpenGL (Blender, "
        "Unity) and DirectX (Unreal) keep normal maps.",
        choices=CONVENTIONS,
        appended=appended,
    )


def normal_colors(normals: Tensor, convention: str) -> Tensor:
    """Unit normals to the left, up and to the front, (..., 3), as colors (n + 1) / 2 of the convention."""
    order, signs = _CHANNELS[convention]
    return (normals[..., order] * normals.new_tensor(signs) + 1) / 2

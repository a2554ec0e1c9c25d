"""Stand-ins as other packs call them: looked up by id at run time, by the name of the original's method, in its order.

Impact's and Inspire's nodes write `NODE_CLASS_MAPPINGS["OpenposePreprocessor"]().estimate_pose(image, "enable", ...)`.
"""

from typing import Any

from comfy_api.latest import io

from .row import StandIn

METHODS = {
    "OpenposePreprocessor": "estimate_pose",
    "DWPreprocessor": "estimate_pose",
    "InpaintPreprocessor": "preprocess",
    "AnyLineArtPreprocessor_aux": "get_anyline",
    "UniFormer-SemSegPreprocessor": "semantic_segmentate",
    "SemSegPreprocessor": "semantic_segmentate",
    "OneFormer-ADE20K-SemSegPreprocessor": "semantic_segmentate",
    "OneFormer-COCO-SemSegPreprocessor": "semantic_segmentate",
    "SavePoseKpsAsJsonFile": "save_pose_kps",
    "RenderPeopleKps": "render",
    "ACN_AdvancedControlNetApply": "apply_controlnet",
}
"""What the originals' methods are called, where that is not `execute`."""


def callable_by_others(node: type[io.ComfyNode], row: StandIn) -> type[io.ComfyNode]:
    """The same node; its method has the original's name too, and takes inputs by their place as well."""
    names = [item.id for item in row.inputs]
    run = node.execute

    def execute(cls: type[io.ComfyNode], *values: Any, **named: Any) -> Any:
        return run(**dict(zip(names, values, strict=False)), **named)

    def call(self: io.ComfyNode, *values: Any, **named: Any) -> Any:
        """As nodes of the old interface answer: a tuple, or a dictionary where the canvas is shown something."""
        output = execute(type(self), *values, **named)
        return output.args if output.ui is None else {"ui": output.ui, "result": output.args}

    body: dict[str, Any] = {"execute": classmethod(execute), "__module__": node.__module__, "__doc__": node.__doc__}
    if row.id in METHODS:
        body[METHODS[row.id]] = call
    return type(node.__name__, (node,), body)

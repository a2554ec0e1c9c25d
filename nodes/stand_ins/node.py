"""A row of the table as a node of ComfyUI."""

import json
from typing import Any, ClassVar

from comfy_api.latest import io

from ..preprocess.methods import NetworkOwner
from .row import Input, StandIn


class StandInNode(NetworkOwner):
    """The part that all stand-ins share."""

    row: ClassVar[StandIn]

    @classmethod
    def define_schema(cls) -> io.Schema:
        row = cls.row
        return io.Schema(
            node_id=row.id,
            display_name=row.label,
            category=f"ZeroConv/stand-ins/{row.pack}",
            description=_description(row),
            inputs=[_input(item) for item in row.inputs],
            outputs=[io.Custom(kind).Output(display_name=name) for kind, name in row.outputs],
            is_output_node=row.shown,
            is_deprecated=True,
        )

    @classmethod
    def execute(cls, **values: Any) -> io.NodeOutput:
        results = cls.row.run(**cls.row.complete(values))
        poses = [value for (kind, _), value in zip(cls.row.outputs, results, strict=True) if kind == "POSE_KEYPOINT"]
        # Programs read the poses from here, as the other pack's nodes show them.
        shown = {"openpose_json": [json.dumps(poses[0], indent=4)]} if poses else None
        return io.NodeOutput(*results, ui=shown)


def node_of(row: StandIn) -> type[io.ComfyNode]:
    """The node of a row."""
    body = {"row": row, "__doc__": _description(row), "__module__": __name__}
    return type("".join(filter(str.isalnum, row.id)), (StandInNode,), body)


def _description(row: StandIn) -> str:
    note = f" {row.difference}" if row.difference else ""
    return f"ZeroConv does the work of {row.pack}'s node of this name, which is not installed.{note}"


def _input(item: Input) -> io.Input:
    limits: dict[str, Any] = {"min": item.minimum, "max": item.maximum, "step": item.step}
    widgets: dict[str, Any] = {
        "COMBO": lambda: io.Combo.Input(
            item.id, _choices(item), optional=item.optional, default=None if item.listing else item.default
        ),
        "INT": lambda: io.Int.Input(item.id, optional=item.optional, default=item.default, **limits),
        "FLOAT": lambda: io.Float.Input(item.id, optional=item.optional, default=item.default, **limits),
        "STRING": lambda: io.String.Input(item.id, optional=item.optional, default=item.default),
        "BOOLEAN": lambda: io.Boolean.Input(item.id, optional=item.optional, default=item.default),
    }
    if item.is_widget:
        return widgets[item.type]()
    return io.Custom(item.type).Input(item.id, optional=item.optional)


def _choices(item: Input) -> list[str]:
    return list(item.choices) if item.listing is None else item.listing()

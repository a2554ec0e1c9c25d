"""The hint as the network will see it."""

from typing import Any, cast

from comfy_api.latest import io, ui

from ...host.conditioning import Conditioning
from ...host.preview import hints_as_seen
from ..compat import schema


class ZeroConvPreviewHint(io.ComfyNode):
    """See the hints exactly as the networks will."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvPreviewHint",
            display_name="Preview Hint",
            category="ZeroConv/hint",
            description=(
                "Shows the hint of every ControlNet of a prompt exactly as its network will see it: cropped, resized "
                "and matched to the items of the latent batch."
            ),
            search_aliases=["control image", "preview control", "detected map"],
            inputs=[
                io.Conditioning.Input(
                    "conditioning", tooltip="The prompt with its ControlNets, from ControlNet Apply."
                ),
                io.Latent.Input("latent", tooltip="The latent that will be sampled; it gives size and count."),
            ],
            outputs=[
                io.Image.Output(
                    display_name="hints",
                    is_output_list=True,
                    tooltip="One batch of hints for each ControlNet, the first of the chain first.",
                )
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, conditioning: Conditioning, latent: dict[str, Any]) -> io.NodeOutput:
        hints = hints_as_seen(conditioning, latent["samples"])
        shown = ui.PreviewImage([picture for hint in hints for picture in hint], cls=cast(Any, cls))  # pyright: ignore[reportArgumentType]
        return io.NodeOutput(hints, ui=shown)


NODES = [ZeroConvPreviewHint]

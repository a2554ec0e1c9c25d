"""Records of a sampling: what each ControlNet added, and where two results differ."""

from typing import Any, cast

import torch
from comfy_api.latest import io, ui

from ...controlnet.report.difference import image_difference, latent_difference
from ...controlnet.report.record_plot import draw_records
from ...host.conditioning import Conditioning
from ...host.preview import records_of
from ...host.settings import with_record
from ..compat import schema
from ..sockets import control_input

CATEGORY = "ZeroConv/report"


class ZeroConvRecord(io.ComfyNode):
    """Take down what a ControlNet adds."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvRecord",
            display_name="Record ControlNet",
            category=CATEGORY,
            description=(
                "Takes down how much a ControlNet adds to the model at every step and in every block, for Report "
                "ControlNets. Without this node nothing is measured and nothing is slower."
            ),
            search_aliases=["measure", "residual norm", "debug controlnet"],
            inputs=[control_input()],
            outputs=[
                io.ControlNet.Output(display_name="control_net", tooltip="The ControlNet that takes notes, for Apply.")
            ],
        )

    @classmethod
    def execute(cls, control_net: Any) -> io.NodeOutput:
        return io.NodeOutput(with_record(control_net))


class ZeroConvReport(io.ComfyNode):
    """Show what each ControlNet of a prompt did."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvReport",
            display_name="Report ControlNets",
            category=CATEGORY,
            description=(
                "Shows what the ControlNets of a prompt did in the last sampling: how often each ran, how many runs "
                "Fewer Runs saved, and, after Record ControlNet, how much each block added at every step."
            ),
            search_aliases=["residual norm", "what did it do", "forwards saved", "statistics"],
            inputs=[
                io.Conditioning.Input(
                    "conditioning", tooltip="The prompt with its ControlNets, as the KSampler got it."
                ),
                io.Latent.Input("latent", tooltip="What that KSampler gave; it makes this node wait for it."),
            ],
            outputs=[
                io.Image.Output(
                    display_name="plot",
                    tooltip="A row for each block: how much was added, from the first step to the last.",
                ),
                io.String.Output(display_name="table", tooltip="The same as numbers, a line for each block."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, conditioning: Conditioning, latent: dict[str, Any]) -> io.NodeOutput:
        records = records_of(conditioning)
        plot, table = draw_records(records), "\n".join(str(one) for one in records)
        return io.NodeOutput(plot, table, ui=ui.PreviewImage(plot, cls=cast(Any, cls)))


class ZeroConvDifference(io.ComfyNode):
    """Show where two results differ."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        either = [io.Image, io.Latent]
        return schema(
            node_id="ZeroConvDifference",
            display_name="Compare Images",
            category=CATEGORY,
            description=(
                "Shows where and how much two images or two latents differ, such as with and without a ControlNet, or "
                "with two sets of weights."
            ),
            search_aliases=["compare", "image difference", "psnr", "diff"],
            inputs=[
                io.MultiType.Input("first", types=either, tooltip="An image or a latent."),
                io.MultiType.Input("second", types=either, tooltip="Another one of the same kind and size."),
                io.Float.Input(
                    "gain",
                    default=0.0,
                    min=0.0,
                    max=1000.0,
                    step=0.1,
                    tooltip="How bright differences are shown. 0: the greatest one is white. 1: as they are.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="difference", tooltip="Black where both are equal."),
                io.String.Output(display_name="table", tooltip="PSNR, mean and greatest difference."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, first: Any, second: Any, gain: float) -> io.NodeOutput:
        images = [isinstance(value, torch.Tensor) for value in (first, second)]
        if images[0] != images[1]:
            raise ValueError("One is an image and the other a latent. Wire two images, or two latents.")
        if images[0]:
            difference = image_difference(first, second, gain)
        else:
            difference = latent_difference(first["samples"], second["samples"], gain)
        shown = ui.PreviewImage(difference.picture, cls=cast(Any, cls))
        return io.NodeOutput(difference.picture, str(difference), ui=shown)


NODES = [ZeroConvRecord, ZeroConvReport, ZeroConvDifference]

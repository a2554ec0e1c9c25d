"""Weights of preprocessors, fetched when asked."""

from typing import Any

from comfy_api.latest import io, ui

from ...host.preprocessing.run import fetch
from ...preprocessors.weights.catalogue import catalogue
from ..compat import schema


class ZeroConvFetchWeights(io.ComfyNode):
    """Fetch the weights of a preprocessor, when asked."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        names = [name for name, row in catalogue().items() if row.network and row.fetchable]
        overwrite = "Fetch it again, in place of a damaged or wrong file of the same name."
        convert = "Also keep the file as .safetensors, which loads faster."
        return schema(
            node_id="ZeroConvFetchWeights",
            display_name="Fetch Weights",
            category="ZeroConv/preprocess",
            description="Downloads weights into models/preprocessors, continued after a cut and checked by their hash.",
            search_aliases=["download", "annotator weights", "ckpts"],
            is_output_node=True,
            inputs=[
                io.Combo.Input("weights", options=names, tooltip="Which weights. Nothing is fetched before you queue."),
                io.Boolean.Input("convert", default=False, tooltip=convert),
                io.Boolean.Input("overwrite", optional=True, default=False, tooltip=overwrite),
            ],
            outputs=[io.String.Output(display_name="report", tooltip="Where the file is, and its license.")],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> float:
        """Never the same: whether the file is there is looked up each time."""
        return float("nan")

    @classmethod
    def execute(cls, weights: str, convert: bool, overwrite: bool = False) -> io.NodeOutput:
        _, report = fetch(weights, convert, overwrite)
        return io.NodeOutput(report, ui=ui.PreviewText(report))


NODES = [ZeroConvFetchWeights]

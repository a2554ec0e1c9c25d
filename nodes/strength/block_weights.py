"""Weights over the blocks of a ControlNet."""

from comfy_api.latest import io

from ...controlnet.strength.block_weights import (
    SOFT_BASE,
    BlockWeights,
    Soft,
    SoftA1111,
    SoftDiffusers,
    parse_block_weights,
)
from ...controlnet.strength.control_mode import SOFT_KINDS, SoftKind
from ..compat import schema
from ..sockets import BLOCK_WEIGHTS

CATEGORY = "ZeroConv/strength"


class ZeroConvBlockWeights(io.ComfyNode):
    """Weights written as a list or a curve."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvBlockWeights",
            display_name="Block Weights",
            category=CATEGORY,
            description=(
                "How strongly each block of a ControlNet acts: the first ones place details, the last ones the layout. "
                "Blocks behind the last weight that is not 0 are not computed."
            ),
            search_aliases=["layer weights", "advanced weighting", "control weights"],
            inputs=[
                io.String.Input(
                    "weights",
                    default="1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1",
                    multiline=True,
                    tooltip=(
                        "One number for each block, shallowest first and the middle last: 13 for SD1.5, 10 for SDXL. "
                        "Another count is stretched over the depth. Or a curve over the depth: 0: 0.2 ease, 1: 1"
                    ),
                ),
            ],
            outputs=[BLOCK_WEIGHTS.Output(display_name="block_weights", tooltip="For ControlNet Apply.")],
        )

    @classmethod
    def execute(cls, weights: str) -> io.NodeOutput:
        return io.NodeOutput(parse_block_weights(weights))


class ZeroConvSoftWeights(io.ComfyNode):
    """Weights that fall towards the shallow blocks."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvSoftWeights",
            display_name="Soft Weights",
            category=CATEGORY,
            description="Weakens the shallow blocks, so that the layout is kept and details are left free.",
            search_aliases=["guess mode", "soft injection", "universal weights", "layer weights"],
            inputs=[
                io.Float.Input(
                    "base",
                    default=SOFT_BASE,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    tooltip="Each block acts with this times the strength of the next deeper one. 1 weakens nothing.",
                ),
                io.Combo.Input(
                    "kind",
                    options=list(SOFT_KINDS),
                    default="whole depth",
                    tooltip=(
                        "whole depth: the middle acts whole on every model. A1111: the same on SD1.5, but on SDXL all "
                        "is multiplied by 0.56, as there. diffusers: guess mode, from 0.1 to 1, whatever the base."
                    ),
                ),
            ],
            outputs=[BLOCK_WEIGHTS.Output(display_name="block_weights", tooltip="For ControlNet Apply.")],
        )

    @classmethod
    def execute(cls, base: float, kind: SoftKind) -> io.NodeOutput:
        weights: dict[SoftKind, BlockWeights] = {
            "whole depth": Soft(base),
            "A1111": SoftA1111(base),
            "diffusers": SoftDiffusers(),
        }
        return io.NodeOutput(weights[kind])


NODES = [ZeroConvBlockWeights, ZeroConvSoftWeights]

"""The options of a training that are rarely changed."""

from typing import Any

from comfy_api.latest import io

from ..compat import schema
from ..sockets import TRAINING_OPTIONS

TOOLTIPS = {
    "ema_decay": "Decay of the averaged (EMA) weights, such as 0.999. They give steadier samples. 0 = no averaging.",
    "warmup": "Steps over which the learning rate rises to its value.",
    "weight_decay": "Weight decay of AdamW.",
    "max_grad_norm": "Maximum gradient norm; larger gradients are scaled down. 0 = no limit.",
    "only_middle": "Train only the residual of the middle block: weaker, global control.",
    "hint_dropout": "Fraction of the pairs that are shown with a black hint.",
    "noise_offset": "A value of about 0.05 lets the brightness of pictures vary more.",
    "weighting": "How noise levels are weighted: equally (paper), by min-SNR, or by the error of the velocity.",
    "snr_gamma": "Gamma of min_snr; the largest weight of velocity. Not used by uniform.",
}


class ZeroConvTrainingOptions(io.ComfyNode):
    """The options of a training that are rarely changed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        share = {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.01}
        return schema(
            node_id="ZeroConvTrainingOptions",
            display_name="Training Options",
            category="ZeroConv/train",
            description="Options that are rarely changed. Without this node the training is that of the paper.",
            search_aliases=["ema", "min snr", "noise offset"],
            inputs=[
                io.Float.Input("ema_decay", **{**share, "max": 0.9999, "step": 0.0001}, tooltip=TOOLTIPS["ema_decay"]),
                io.Int.Input("warmup", default=0, min=0, max=100000, tooltip=TOOLTIPS["warmup"]),
                io.Float.Input("weight_decay", **{**share, "default": 0.01}, tooltip=TOOLTIPS["weight_decay"]),
                io.Float.Input(
                    "max_grad_norm", **{**share, "default": 1.0, "max": 100.0}, tooltip=TOOLTIPS["max_grad_norm"]
                ),
                io.Boolean.Input("only_middle", default=False, tooltip=TOOLTIPS["only_middle"]),
                io.Float.Input("hint_dropout", **share, tooltip=TOOLTIPS["hint_dropout"]),
                io.Float.Input("noise_offset", **share, tooltip=TOOLTIPS["noise_offset"]),
                io.Combo.Input("weighting", options=["uniform", "min_snr", "velocity"], tooltip=TOOLTIPS["weighting"]),
                io.Float.Input("snr_gamma", default=5.0, min=0.1, max=1000.0, step=0.1, tooltip=TOOLTIPS["snr_gamma"]),
            ],
            outputs=[TRAINING_OPTIONS.Output(display_name="options", tooltip="For Train ControlNet.")],
        )

    @classmethod
    def execute(cls, **options: Any) -> io.NodeOutput:
        return io.NodeOutput(options)


NODES = [ZeroConvTrainingOptions]

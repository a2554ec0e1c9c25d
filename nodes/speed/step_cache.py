"""Fewer computations of the base model itself, its ControlNets included."""

from typing import Any

from comfy_api.latest import io

from ...controlnet.caching.run_interval import MOST_STEPS, EveryNthStep
from ...controlnet.caching.step_cache import METHODS, Method, StepCacheSettings
from ...host.sampling.step_cache import with_step_cache
from ..compat import schema
from ..sockets import range_inputs


class ZeroConvStepCache(io.ComfyNode):
    """Compute a part of the model at some steps."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvStepCache",
            display_name="Step Cache",
            category="ZeroConv/speed",
            description=(
                "Computes the whole model at key steps only; at the steps between a part of it, with what the rest and "
                "the ControlNets gave at the last key step: much faster, and approximate. For SD1.5, SD2.x and SDXL."
            ),
            search_aliases=["speed up", "DeepCache", "Faster Diffusion", "encoder propagation", "skip steps", "faster"],
            inputs=[
                io.Model.Input("model", tooltip="From Load Checkpoint; LoRAs and other patches may come before."),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default=METHODS[0],
                    tooltip=(
                        "deep cache: at the steps between only the outermost blocks run; fastest. encoder propagation: "
                        "the whole decoder runs, and the encoder rests."
                    ),
                ),
                io.Int.Input(
                    "every_n_steps",
                    default=3,
                    min=1,
                    max=MOST_STEPS,
                    tooltip="Every how many steps there is a key step. 1: every step is computed whole.",
                ),
                *range_inputs(
                    "Before this part of the sampling every step is computed whole.",
                    "After this part of the sampling every step is computed whole.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The model with this setting, for the KSampler.")],
        )

    @classmethod
    def execute(
        cls, model: Any, method: Method, every_n_steps: int, start_percent: float, end_percent: float
    ) -> io.NodeOutput:
        settings = StepCacheSettings(method, EveryNthStep(every_n_steps), start_percent, end_percent)
        return io.NodeOutput(with_step_cache(model, settings))


NODES = [ZeroConvStepCache]

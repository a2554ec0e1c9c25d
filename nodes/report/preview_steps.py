"""On which steps each ControlNet will run and how strongly, before any sampling."""

from typing import Any, cast

from comfy_api.latest import io, ui

from ...controlnet.report.plan_plot import draw_plan
from ...host.conditioning import Conditioning
from ...host.preview import SamplerSettings, forecast_steps, sampler_names, scheduler_names, timeline_of
from ..compat import schema


class ZeroConvPreviewSteps(io.ComfyNode):
    """Show the strength of each ControlNet at every step."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvPreviewSteps",
            display_name="Preview Steps",
            category="ZeroConv/report",
            description=(
                "Shows on which steps each ControlNet of a prompt will run and how strongly, for a model, scheduler, "
                "number of steps and denoise. The fields take the settings of the KSampler that the prompt is wired to."
            ),
            search_aliases=["active steps", "start percent", "strength plot"],
            inputs=[
                io.Model.Input("model", tooltip="The model that will sample."),
                io.Conditioning.Input(
                    "conditioning", tooltip="The prompt with its ControlNets, from ControlNet Apply."
                ),
                io.Int.Input("steps", default=20, min=1, max=1000, tooltip="As in the KSampler."),
                io.Combo.Input(
                    "sampler_name", options=sampler_names(), tooltip="As in the KSampler; a few drop a step."
                ),
                io.Combo.Input("scheduler", options=scheduler_names(), tooltip="As in the KSampler."),
                io.Float.Input("denoise", default=1.0, min=0.0, max=1.0, step=0.01, tooltip="As in the KSampler."),
                io.Int.Input(
                    "start_at_step",
                    default=0,
                    min=0,
                    max=10000,
                    tooltip="As in KSampler (Advanced); 0 for a KSampler.",
                ),
                io.Int.Input(
                    "end_at_step",
                    default=10000,
                    min=0,
                    max=10000,
                    tooltip="As in KSampler (Advanced); past the last step means to the end.",
                ),
                io.Latent.Input(
                    "latent",
                    optional=True,
                    tooltip="The latent that will be sampled: shows Strength per Item for its pictures.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="plot", tooltip="A row for each ControlNet, a bar for each step."),
                io.String.Output(display_name="table", tooltip="The strengths as text, a line for each ControlNet."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        conditioning: Conditioning,
        steps: int,
        sampler_name: str,
        scheduler: str,
        denoise: float,
        start_at_step: int,
        end_at_step: int,
        latent: dict[str, Any] | None = None,
    ) -> io.NodeOutput:
        run = SamplerSettings(steps, sampler_name, scheduler, denoise, start_at_step, end_at_step)
        pictures = None if latent is None else latent["samples"].shape[0]
        forecasts = forecast_steps(conditioning, timeline_of(model, run), pictures)
        plot, table = draw_plan(forecasts), "\n".join(str(forecast) for forecast in forecasts)
        return io.NodeOutput(plot, table, ui=ui.PreviewImage(plot, cls=cast(Any, cls)))


NODES = [ZeroConvPreviewSteps]

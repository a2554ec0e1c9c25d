"""The strength nodes, wired together, through a real server."""

from safetensors.torch import load_file
from support.measures import relative_error
from zeroconv.comfy_client.server import ComfyServer
from zeroconv.comfy_client.workflow import Control, ControlNet, Output

from ..conftest import Scene, Stage

STEPS = 4


def test_a_shaped_control_through_the_server(server: ComfyServer) -> None:
    stage = Stage(Scene(width=96, height=72, batch=2, hints=2))
    flow, image = stage.workflow, stage.images[0]

    def setting(node: str, net: Output, **widgets: object) -> ControlNet:
        return ControlNet(flow.add(node, control_net=net, **widgets), 0)

    net = flow.load_control("sd15-1.safetensors")
    shaped = setting("ZeroConvMatchProgram", net, program="A1111", mode="control")
    shaped = setting("ZeroConvControlMode", shaped, mode="cond only", soft_weights="A1111")
    shaped = setting("ZeroConvCfgWeights", shaped, positive=1.0, negative=0.5)
    shaped = setting("ZeroConvItemStrengths", shaped, strengths="1: 0", interpolated=False)
    shaped = setting("ZeroConvRangeCounting", shaped, counting="steps")
    shaped = setting("ZeroConvFitHint", shaped, fit="fit inside", resampling="edges", hint_order="one each")
    first = flow.add(
        "ZeroConvKeyframe", position=0.0, strength=1.0, interpolation="hold", counting="steps", schedule=None
    )
    schedule = flow.add(
        "ZeroConvKeyframe",
        position=0.5,
        strength=0.0,
        interpolation="linear",
        counting="steps",
        schedule=Output(first, 0),
    )
    weights = flow.add("ZeroConvBlockWeights", weights="0: 0.5, 1: 1")
    factors = {"schedule": Output(schedule, 0), "block_weights": Output(weights, 0)}
    controlled = flow.apply(stage.prompts, shaped, image, Control(0.8), **factors)

    steps = flow.add(
        "ZeroConvPreviewSteps",
        model=stage.model,
        conditioning=controlled.positive,
        steps=STEPS,
        sampler_name="euler",
        scheduler="normal",
        denoise=1.0,
        start_at_step=0,
        end_at_step=10000,
    )
    hints = flow.add("ZeroConvPreviewHint", conditioning=controlled.positive, latent=stage.latent)
    resolution = flow.add("ZeroConvPixelPerfect", image=image, latent=stage.latent, fit="crop")
    table = flow.add("PreviewAny", source=Output(steps, 1))
    number = flow.add("PreviewAny", source=Output(resolution, 0))
    saved = [stage.save(prompts) for prompts in (stage.prompts, controlled)]
    result = server.queue(flow.to_api())

    assert result.outputs[table]["text"] == [
        "1. sd15-1: runs 2 of 4 steps: 0.8 0.8 0 0; positive x 1, negative x 0.5; items 1: 0"
    ]
    assert result.outputs[number]["text"] == ["72"]
    assert len(result.outputs[hints]["images"]) == 2
    plain, latents = (load_file(result.files(node)[0])["latent_tensor"] for node in saved)
    assert relative_error(latents[0], plain[0]) > 1e-3
    assert relative_error(latents[1], plain[1]) < 1e-5


def test_soft_weights_and_a_schedule_in_text_through_the_server(server: ComfyServer) -> None:
    stage = Stage(Scene())
    flow = stage.workflow
    net = flow.load_control("sd15-1.safetensors")
    soft = flow.add("ZeroConvSoftWeights", base=0.5, kind="whole depth")
    halved = flow.add("ZeroConvSchedule", keyframes="0: 0.5", counting="timesteps")
    chains = [
        flow.apply(stage.prompts, net, stage.images[0], Control(0.5)),
        flow.apply(stage.prompts, net, stage.images[0], schedule=Output(halved, 0)),
        flow.apply(stage.prompts, net, stage.images[0], block_weights=Output(soft, 0)),
    ]
    saved = [stage.save(prompts) for prompts in chains]
    result = server.queue(flow.to_api())
    half, scheduled, softened = (load_file(result.files(node)[0])["latent_tensor"] for node in saved)
    assert relative_error(scheduled, half) < 1e-5
    assert relative_error(softened, half) > 1e-3

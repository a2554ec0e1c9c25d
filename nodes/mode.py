"""Which side a ControlNet acts on, in which mode, on which pictures of a batch, and how its range is counted."""

from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ..controlnet.strength.control_mode import MODES, SOFT_KINDS, CfgWeights, ModeName, SoftKind, control_mode
from ..controlnet.strength.per_item import ItemStrengths
from ..controlnet.strength.preset import PRESETS, PresetName
from ..controlnet.strength.timeline import RANGE_COUNTINGS, RangeCounting
from ..host.controls.settings import with_factors, with_preset
from .compat import schema

CATEGORY = "ZeroConv/strength"

MODE_TIP = (
    "balanced: all blocks, both prompts. prompt: soft weights, both prompts (A1111's My prompt is more important). "
    "control: soft weights, positive prompt only (ControlNet is more important). cond only: all blocks, positive "
    "prompt only. guess: diffusers' guess mode."
)


def _control_input() -> io.Input:
    return io.ControlNet.Input("control_net", tooltip="From Load ControlNet (ZeroConv).")


def _control_output() -> io.Output:
    return io.ControlNet.Output(display_name="control_net", tooltip="The ControlNet with this setting, for Apply.")


class ZeroConvControlMode(io.ComfyNode):
    """Set the control mode."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvControlMode",
            display_name="Control Mode",
            category=CATEGORY,
            description="Lets the prompt or the hint count more. Block weights wired to Apply overrule the mode's.",
            search_aliases=[
                "guess mode",
                "balanced",
                "prompt is more important",
                "controlnet is more important",
            ],
            inputs=[
                _control_input(),
                io.Combo.Input("mode", options=list(MODES), default="balanced", tooltip=MODE_TIP),
                io.Combo.Input(
                    "soft_weights",
                    options=list(SOFT_KINDS),
                    default="whole depth",
                    tooltip="The soft weights of the modes prompt and control. A1111 equals that program on SDXL too.",
                ),
            ],
            outputs=[_control_output()],
        )

    @classmethod
    def execute(cls, control_net: Any, mode: ModeName, soft_weights: SoftKind) -> io.NodeOutput:
        chosen = control_mode(mode, soft_weights)
        return io.NodeOutput(with_factors(control_net, "control mode", lambda before: before.in_mode(chosen)))


class ZeroConvPromptSides(io.ComfyNode):
    """Weigh the positive and the negative side."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        side = {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.01}
        return schema(
            node_id="ZeroConvPromptSides",
            display_name="Weight per Prompt",
            category=CATEGORY,
            description="How strongly a ControlNet acts beside the positive and beside the negative prompt.",
            search_aliases=["uncond multiplier", "cond only", "negative strength"],
            inputs=[
                _control_input(),
                io.Float.Input("positive", **side, tooltip="Factor on the positive prompt's side."),
                io.Float.Input(
                    "negative",
                    **side,
                    tooltip="Factor on the negative prompt's side. 0 halves the work, and controls more strongly.",
                ),
            ],
            outputs=[_control_output()],
        )

    @classmethod
    def execute(cls, control_net: Any, positive: float, negative: float) -> io.NodeOutput:
        sides = CfgWeights(positive, negative)
        return io.NodeOutput(with_factors(control_net, "weight per prompt", lambda i: replace(i, cfg_weights=sides)))


class ZeroConvItemStrengths(io.ComfyNode):
    """Set the strength of each picture or frame."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvItemStrengths",
            display_name="Strength per Item",
            category=CATEGORY,
            description="How strongly each picture of a batch, or each frame of a video, is controlled.",
            search_aliases=["latent keyframe", "batch strength", "strength per frame"],
            inputs=[
                _control_input(),
                io.String.Input(
                    "strengths",
                    default="0: 1",
                    multiline=True,
                    tooltip=(
                        "item: strength, or first:stop = strength. Items count from 0, or from the end as -1, -2; the "
                        "stop is left out. Items not named have strength 1. Example: 0: 1, 1:3 = 0.5, -1: 0"
                    ),
                ),
                io.Boolean.Input(
                    "interpolated",
                    default=False,
                    tooltip="Frames between named ones change evenly from one to the other.",
                ),
            ],
            outputs=[_control_output()],
        )

    @classmethod
    def execute(cls, control_net: Any, strengths: str, interpolated: bool) -> io.NodeOutput:
        items = ItemStrengths.parse(strengths, interpolated)
        return io.NodeOutput(with_factors(control_net, "strength per item", lambda i: replace(i, items=items)))


class ZeroConvRangeCounting(io.ComfyNode):
    """Choose what start_percent and end_percent count."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvRangeCounting",
            display_name="Count Range In",
            category=CATEGORY,
            description="What start_percent and end_percent of Apply ControlNet are fractions of.",
            search_aliases=["start percent", "end percent", "guidance start"],
            inputs=[
                _control_input(),
                io.Combo.Input(
                    "counting",
                    options=list(RANGE_COUNTINGS),
                    default="timesteps",
                    tooltip=(
                        "timesteps: the model's, as in ComfyUI; karras then ends early. steps: those that begin and "
                        "end inside, as in diffusers. steps (A1111): those that begin inside, as there."
                    ),
                ),
            ],
            outputs=[_control_output()],
        )

    @classmethod
    def execute(cls, control_net: Any, counting: RangeCounting) -> io.NodeOutput:
        return io.NodeOutput(with_factors(control_net, "counting", lambda i: replace(i, counting=counting)))


class ZeroConvPreset(io.ComfyNode):
    """Act as another program."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvPreset",
            display_name="Act Like",
            category=CATEGORY,
            description=(
                "Sets counting, soft weights, fitting of the hint and the side of shuffle ControlNets as a program "
                "does, to repeat its pictures."
            ),
            search_aliases=["a1111", "webui", "diffusers", "forge", "parity"],
            inputs=[
                _control_input(),
                io.Combo.Input("program", options=list(PRESETS), default="ComfyUI", tooltip="The program to equal."),
                io.Combo.Input("mode", options=list(MODES), default="balanced", tooltip=MODE_TIP),
            ],
            outputs=[_control_output()],
        )

    @classmethod
    def execute(cls, control_net: Any, program: PresetName, mode: ModeName) -> io.NodeOutput:
        return io.NodeOutput(with_preset(control_net, program, mode))


NODES = [
    ZeroConvControlMode,
    ZeroConvPromptSides,
    ZeroConvItemStrengths,
    ZeroConvRangeCounting,
    ZeroConvPreset,
]

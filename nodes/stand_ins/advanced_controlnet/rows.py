"""Sockets, outputs and names shared by the rows of Advanced-ControlNet."""

from collections.abc import Callable, Iterable
from typing import Any

from ....host.loading.load import list_controlnets
from ..row import Input, StandIn, number, socket

PACK = "ComfyUI-Advanced-ControlNet"
SIGN = " 🛂🅐🅒🅝"

CONTROL = (("CONTROL_NET", "CONTROL_NET"),)
WEIGHTS = (("CONTROL_NET_WEIGHTS", "CN_WEIGHTS"), ("TIMESTEP_KEYFRAME", "TK_SHORTCUT"))
KEYFRAMES = (("TIMESTEP_KEYFRAME", "TIMESTEP_KF"),)
LATENTS = (("LATENT_KEYFRAME", "LATENT_KF"),)
BOTH = (("CONDITIONING", "positive"), ("CONDITIONING", "negative"))
ONE = (("CONDITIONING", "CONDITIONING"), ("MODEL", "model_opt"))

SINGLE_STEPS = "A keyframe acts from its start on, whatever guarantee_steps says up to 1."

STRENGTH_AND_RANGE = (
    number("strength", 1.0, 0.0, 10.0),
    number("start_percent", 0.0, 0.0, 1.0, 0.001),
    number("end_percent", 1.0, 0.0, 1.0, 0.001),
)


def row(id: str, label: str, inputs: Iterable[Input], outputs: Any, run: Callable[..., Any], **more: Any) -> StandIn:
    def run_as_tuple(**values: Any) -> tuple[Any, ...]:
        given = run(**values)
        return given if isinstance(given, tuple) and len(outputs) > 1 else (given,)

    return StandIn(id, label + SIGN, PACK, tuple(inputs), outputs, run_as_tuple, **more)


def file(name: str) -> Input:
    return Input(name, "COMBO", listing=list_controlnets)


def optional(name: str, type: str) -> Input:
    return socket(name, type, optional=True)

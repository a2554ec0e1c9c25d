"""Inputs of a node, checked by the node's own schema before it runs.

ComfyUI checks literal numbers only, older versions no choices, and none what arrives through a wire: a choice that does
not exist would run as some other, NaN would become a black picture.
"""

import functools
import math
import numbers
from collections.abc import Mapping
from typing import Any

import torch
from comfy_api.latest import io

from .preprocess.method_choice import MethodChoice

MOST_SHOWN = 30
"""Choices that a message lists."""

NAN_ADVICE = "holds NaN or infinite values. Look at the node that made it, often a VAE in fp16."


def checked(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """The same node; its `execute` gets values that its schema allows, or an error says which does not fit."""
    run = node.execute.__func__  # pyright: ignore[reportFunctionMemberAccess]

    @functools.wraps(run)
    def execute(cls: type[io.ComfyNode], **values: Any) -> io.NodeOutput:
        return run(cls, **check_inputs(cls.define_schema(), values))

    body = {"execute": classmethod(execute), "__module__": node.__module__, "__doc__": node.__doc__}
    return type(node.__name__, (node,), body)


def check_inputs(schema: io.Schema, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values by name, images and masks without gradients. Raises ValueError for one that does not fit."""
    fitting = dict(values)
    for declared in schema.inputs:
        value = values.get(declared.id)
        if declared.id not in values or (value is None and declared.optional):
            continue
        fitting[declared.id] = _fitting(declared, value)
    return fitting


def _fitting(declared: Any, value: Any) -> Any:
    """The value in the type of its input; inputs of other types as they are."""
    for kind, check in CHECKS:
        if isinstance(declared, kind):
            return check(declared, value)
    return value


def _choice(declared: Any, value: Any) -> Any:
    options = list(declared.options or ())
    if value in options or not options:
        return value
    for option in options:  # file names of a workflow that was saved on another system
        if isinstance(option, str) and isinstance(value, str) and option.replace("\\", "/") == value.replace("\\", "/"):
            return option
    shown = ", ".join(str(option) for option in options[:MOST_SHOWN])
    more = f" and {len(options) - MOST_SHOWN} more" if len(options) > MOST_SHOWN else ""
    raise ValueError(f"{declared.id} is {_shown(value)}; choose one of: {shown}{more}.")


def _whole_number(declared: Any, value: Any) -> int:
    number = _number(declared, value)
    if number != int(number):
        raise ValueError(f"{declared.id} is {_shown(value)}; it must be a whole number.")
    return int(value)


def _number(declared: Any, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"{declared.id} is {_shown(value)}; it must be a number.")
    if not math.isfinite(float(value)):
        raise ValueError(f"{declared.id} is {value}; it must be a finite number.")
    low, high = declared.min, declared.max
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = f"{'' if low is None else low}..{'' if high is None else high}"
        raise ValueError(f"{declared.id} is {value}; it must be within {bounds}.")
    return value


def _switch(declared: Any, value: Any) -> bool:
    if not isinstance(value, int) or value not in (0, 1):
        raise ValueError(f"{declared.id} is {_shown(value)}; it must be true or false.")
    return bool(value)


def _text(declared: Any, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{declared.id} is {_shown(value)}; it must be a text.")
    return value


def _image(declared: Any, value: Any) -> torch.Tensor:
    if not isinstance(value, torch.Tensor) or value.ndim != 4 or value.shape[-1] not in (1, 3, 4) or not value.numel():
        expected = "an image (batch, height, width, and 1, 3 or 4 channels)"
        raise ValueError(f"{declared.id} is {_shown(value)}; expected {expected}.")
    return _finite(declared, value)


def _mask(declared: Any, value: Any) -> torch.Tensor:
    if not isinstance(value, torch.Tensor) or value.ndim not in (2, 3, 4) or not value.numel():
        raise ValueError(f"{declared.id} is {_shown(value)}; expected a mask (batch, height, width).")
    return _finite(declared, value)


def _finite(declared: Any, value: torch.Tensor) -> torch.Tensor:
    """The tensor without gradients."""
    value = value.detach()
    if value.is_floating_point():
        lowest, highest = value.aminmax()
        if not (torch.isfinite(lowest) and torch.isfinite(highest)):  # NaN spoils both
            raise ValueError(f"{declared.id} {NAN_ADVICE}")
    return value


def _latent(declared: Any, value: Any) -> Any:
    if not isinstance(value, dict) or not hasattr(value.get("samples"), "shape"):
        raise ValueError(f"{declared.id} is {_shown(value)}; expected a latent.")
    return value


def _conditioning(declared: Any, value: Any) -> Any:
    if not isinstance(value, list):
        raise ValueError(f"{declared.id} is {_shown(value)}; expected a prompt, as CLIP Text Encode gives it.")
    return value


def _shown(value: Any) -> str:
    """A value, short and printable."""
    if value is None:
        return "empty: the node that is wired to it gave nothing"
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


CHECKS = (
    (MethodChoice, lambda declared, value: _choice(declared, declared.meant(value))),
    (io.Combo.Input, _choice),
    (io.Int.Input, _whole_number),
    (io.Float.Input, _number),
    (io.Boolean.Input, _switch),
    (io.String.Input, _text),
    (io.Image.Input, _image),
    (io.Mask.Input, _mask),
    (io.Latent.Input, _latent),
    (io.Conditioning.Input, _conditioning),
)
"""Type of an input, and what gives its value or raises."""

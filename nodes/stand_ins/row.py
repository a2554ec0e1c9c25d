"""A row of the table of stand-ins: a node of another pack, and how its work is done here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


@dataclass(frozen=True)
class Input:
    """An input as the other pack declares it.

    type: ComfyUI's name of the socket or widget. default, choices, minimum, maximum, step: of its widget. absent: what
    the other pack takes where a saved node lacks the input; the default, if not said. listing: gives the choices that
    depend on what is installed, in place of `choices`.
    """

    id: str
    type: str
    default: Any = None
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    optional: bool = False
    absent: Any = None
    listing: Callable[[], list[str]] | None = None

    @property
    def is_widget(self) -> bool:
        return self.type in WIDGET_TYPES

    @property
    def when_absent(self) -> Any:
        return self.default if self.absent is None else self.absent


@dataclass(frozen=True)
class Replacement:
    """The node of ours that newer hosts offer in the place of a missing one.

    inputs: the old input for each of ours that takes its value unchanged. values: of our inputs that get another value
    than their default. outputs: our number for each of the old node's outputs.
    """

    node: str
    inputs: Mapping[str, str]
    values: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class StandIn:
    """A node of another pack and what does its work.

    id, label: the node's id and its name on the canvas, as in its pack. pack: what it is called. inputs: in the pack's
    order. outputs: type and name of each. run: gets every input by its id and returns the values of all outputs.
    replacement: a node of ours that does the same, if one does. difference: where the result is not the other pack's,
    and why. shown: it runs without being wired to another. weights: rows of
    weights.toml that it needs.
    """

    id: str
    label: str
    pack: str
    inputs: tuple[Input, ...]
    outputs: tuple[tuple[str, str], ...]
    run: Callable[..., tuple[Any, ...]]
    replacement: Replacement | None = None
    difference: str = ""
    shown: bool = False
    weights: tuple[str, ...] = ()

    def complete(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A value for every input: the given ones, and for the others what the other pack takes.

        Inputs that the row does not declare, as older versions of the pack had, are left out.
        """
        return {item.id: values.get(item.id, item.when_absent) for item in self.inputs}

    @property
    def widgets(self) -> list[str]:
        """Ids of the widgets in the order in which a workflow file lists their values."""
        ids = []
        for item in self.inputs:
            if item.is_widget:
                ids += [item.id, "control_after_generate"] if item.id == "seed" else [item.id]
        return ids


def image(name: str = "image") -> Input:
    return Input(name, "IMAGE")


def socket(name: str, type: str, optional: bool = False) -> Input:
    return Input(name, type, optional=optional)


def whole(name: str, default: int, low: int, high: int, step: int = 1, **more: Any) -> Input:
    return Input(name, "INT", default, minimum=low, maximum=high, step=step, **more)


def number(name: str, default: float, low: float, high: float, step: float = 0.01, **more: Any) -> Input:
    return Input(name, "FLOAT", default, minimum=low, maximum=high, step=step, **more)


def choice(name: str, *choices: str, default: str | None = None, **more: Any) -> Input:
    return Input(name, "COMBO", choices[0] if default is None else default, choices, **more)


def switch(name: str, default: bool, **more: Any) -> Input:
    return Input(name, "BOOLEAN", default, **more)

"""One pass of the base model for rows with different controls.

The host runs conditionings together only when they have the very same control object. A control on the positive prompt
alone, chains that differ, or regions with controls of their own then cost a pass each. Here they all get one control,
which asks each of theirs for its own rows.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from comfy.controlnet import ControlBase
from torch import Tensor

from ...controlnet.residuals import PARTS
from ..compat import has_device_clones
from .lazy_residuals import HostResiduals, known_length, lazy_residuals
from .step import STEP_READ_OPTION, Question, read_together

Conditionings = list[list[dict[str, Any]] | None]
"""The host's conditionings of one step: a list for each prompt, or None."""

OWN_CALLS = "model_function_wrapper"
"""Option of packs that run the model themselves. Those that sample in tiles tell every control its part of the hint."""


def join_controls(conds: Conditionings, model_options: Mapping[str, Any]) -> Conditionings:
    """The conditionings with one control for all that may share one; the given ones are left as they are."""
    if model_options.get(OWN_CALLS) or has_device_clones(model_options):
        return conds
    entries = [entry for prompt in conds if prompt is not None for entry in prompt]
    controls = {entry["uuid"]: entry.get("control") for entry in entries if _divisible(entry.get("control"))}
    if len({id(control) for control in controls.values()}) < 2:
        return conds
    joint = JointControl(controls)

    def replaced(entry: dict[str, Any]) -> dict[str, Any]:
        return {**entry, "control": joint} if entry["uuid"] in controls else entry

    return [None if prompt is None else [replaced(entry) for entry in prompt] for prompt in conds]


def _divisible(control: Any) -> bool:
    """Whether a chain can be asked for a part of the rows: ours say so, and core's can; of other packs nobody knows."""
    if control is None:
        return True
    divisible = getattr(control, "divisible", type(control).__module__ == "comfy.controlnet")
    return divisible and _divisible(control.previous_controlnet)


class JointControl(ControlBase):
    """Stands for several controls in one step, each with the conditionings it is for.

    controls: by the identities of the conditionings, which the host tells with every call. To whoever looks at it, it
    is a control without a hint of its own; what is asked of all controls of a step goes on to the ones it stands for.
    """

    def __init__(self, controls: Mapping[Hashable, Any]) -> None:
        super().__init__()
        self._controls = controls

    @property
    def owners(self) -> list[Any]:
        """The controls it stands for, each once."""
        return list({id(owner): owner for owner in self._controls.values() if owner is not None}.values())

    def copy(self) -> "JointControl":
        twins = {id(owner): owner.copy() for owner in self.owners}
        twin = JointControl({key: twins.get(id(owner)) for key, owner in self._controls.items()})
        self.copy_to(twin)
        return twin

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        super().pre_run(model, percent_to_timestep_function)
        for owner in self.owners:
            owner.pre_run(model, percent_to_timestep_function)

    def cleanup(self) -> None:
        super().cleanup()
        for owner in self.owners:
            owner.cleanup()

    def get_models(self) -> list[Any]:
        return [model for owner in self.owners for model in owner.get_models()]

    def get_extra_hooks(self) -> list[Any]:
        return [hooks for owner in self.owners for hooks in owner.get_extra_hooks()]

    def inference_memory_requirements(self, dtype: torch.dtype) -> int:
        return max((owner.inference_memory_requirements(dtype) for owner in self.owners), default=0)

    def get_control(
        self, x_noisy: Tensor, t: Tensor, cond: dict[str, Any], batched_number: int, transformer_options: dict[str, Any]
    ) -> HostResiduals | None:
        """Residuals of all rows, with zeros where there is no control; None when none acts."""
        identities, marks = transformer_options["uuids"], transformer_options["cond_or_uncond"]
        owners = [self._controls[identity] for identity in identities]
        given: list[HostResiduals | None] = [None] * batched_number
        positions = [0] * batched_number
        shares: list[_Share] = []
        for control in {id(owner): owner for owner in owners if owner is not None}.values():
            groups = [group for group, owner in enumerate(owners) if owner is control]
            own = {key: _rows(value, groups, batched_number) for key, value in cond.items()}
            of_groups = {"uuids": [identities[g] for g in groups], "cond_or_uncond": [marks[g] for g in groups]}
            x, sigmas = _rows(x_noisy, groups, batched_number), _rows(t, groups, batched_number)
            shares.append(_Share(control, groups, x, sigmas, own, {**transformer_options, **of_groups}))
        _read_steps(shares, x_noisy.device)
        for share in shares:
            residuals = share.residuals()
            if residuals is not None and len(share.groups) == batched_number:
                return residuals
            for position, group in enumerate(share.groups):
                given[group], positions[group] = residuals, position
        if not any(residuals is not None for residuals in given):
            return None
        item_count = x_noisy.shape[0] // batched_number
        return lazy_residuals(lambda: _join_rows(given, positions, item_count), _lengths(given))


@dataclass(frozen=True)
class _Share:
    """The request to one of the controls: its groups of rows, with its part of everything."""

    control: Any
    groups: list[int]
    x: Tensor
    t: Tensor
    cond: dict[str, Any]
    options: dict[str, Any]

    def ask(self) -> Question | None:
        """The question of its step; None for a chain without one of our controls."""
        control = self.control
        while control is not None and not hasattr(control, "ask_step"):
            control = control.previous_controlnet
        return control and control.ask_step(self.x, self.t, self.cond, len(self.groups), self.options)

    def residuals(self) -> HostResiduals | None:
        return self.control.get_control(self.x, self.t, self.cond, len(self.groups), self.options)


def _read_steps(shares: Sequence[_Share], device: torch.device) -> None:
    """Find out with one read what all the controls would read one by one, and hand it to them."""
    questions = [share.ask() for share in shares]
    steps = iter(read_together([question for question in questions if question is not None], device))
    for share, question in zip(shares, questions, strict=True):
        if question is not None:
            share.options[STEP_READ_OPTION] = next(steps)


def _rows(value: Any, groups: Sequence[int], count: int) -> Any:
    """The rows of these groups of `count`, of a tensor or of a list of tensors; all else is not by rows."""
    if isinstance(value, list | tuple):
        return type(value)(_rows(item, groups, count) for item in value)
    if not isinstance(value, Tensor) or value.dim() == 0 or value.shape[0] % count:
        return value
    size = value.shape[0] // count
    if groups[-1] - groups[0] + 1 == len(groups):
        return value[groups[0] * size : (groups[-1] + 1) * size]
    return torch.cat([value[group * size : (group + 1) * size] for group in groups])


def _lengths(given: Sequence[HostResiduals | None]) -> dict[str, int | None]:
    """How long the lists will be; None where only a network tells."""
    lengths: dict[str, int | None] = {}
    for part in PARTS:
        known = [known_length(residuals, part) for residuals in given]
        lengths[part] = None if None in known else max(length or 0 for length in known)
    return lengths


def _join_rows(given: Sequence[HostResiduals | None], positions: Sequence[int], item_count: int) -> HostResiduals:
    """Lists for all rows. given: of each group of rows; positions: which group of its control's tensors that is."""
    # What a control repeats over several blocks is joined once.
    done: dict[tuple[int, ...], Tensor] = {}
    joined: HostResiduals = {}
    for part in PARTS:
        lists = [[] if residuals is None else list(residuals.get(part) or []) for residuals in given]
        joined[part] = []
        for index in range(max(map(len, lists))):
            tensors = [residuals[index] if index < len(residuals) else None for residuals in lists]
            key = tuple(map(id, tensors))
            if key not in done and any(tensor is not None for tensor in tensors):
                done[key] = _stack(tensors, positions, item_count)
            joined[part].append(done.get(key))
    return joined


def _stack(tensors: Sequence[Tensor | None], positions: Sequence[int], item_count: int) -> Tensor:
    """The rows of all groups, zeros where there is no tensor."""
    some = next(tensor for tensor in tensors if tensor is not None)
    nothing = some.new_zeros(()).expand(item_count, *some.shape[1:])
    return torch.cat(
        [
            nothing if tensor is None else _group(tensor, position, item_count)
            for tensor, position in zip(tensors, positions, strict=True)
        ]
    )


def _group(tensor: Tensor, position: int, item_count: int) -> Tensor:
    """The rows of one group; a single row stands for all."""
    if tensor.shape[0] == 1:
        return tensor.expand(item_count, *tensor.shape[1:])
    return tensor[position * item_count : (position + 1) * item_count]

"""One pass of the base model for rows with different controls.

The host runs conditionings together only when they have the very same control object. A control on the positive prompt
alone, chains that differ, or regions with controls of their own then cost a pass each. Here they all get one control,
which asks each of theirs for its own rows.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .lazy_residuals import PARTS, Control, known_length, pending

Conditionings = list[list[dict[str, Any]] | None]
"""The host's conditionings of one step: a list for the positive prompt, and one for the negative, or None."""


def join_controls(conds: Conditionings) -> Conditionings:
    """The conditionings with one control for all that may share one; the given ones are left as they are."""
    entries = [entry for side in conds if side is not None for entry in side]
    controls = {entry["uuid"]: entry.get("control") for entry in entries if _divisible(entry.get("control"))}
    if len({id(control) for control in controls.values()}) < 2:
        return conds
    joint = JointControl(controls)

    def replaced(entry: dict[str, Any]) -> dict[str, Any]:
        return {**entry, "control": joint} if entry["uuid"] in controls else entry

    return [None if side is None else [replaced(entry) for entry in side] for side in conds]


def _divisible(control: Any) -> bool:
    """Whether a chain can be asked for a part of the rows: ours say so, and core's can; of other packs nobody knows."""
    if control is None:
        return True
    divisible = getattr(control, "divisible", type(control).__module__ == "comfy.controlnet")
    return divisible and _divisible(control.previous_controlnet)


class JointControl:
    """Stands for several controls in one step, each with the conditionings it is for.

    controls: by the identities of the conditionings, which the host tells with every call.
    """

    def __init__(self, controls: Mapping[Hashable, Any]) -> None:
        self._controls = controls

    def get_control(
        self, x_noisy: Tensor, t: Tensor, cond: dict[str, Any], batched_number: int, transformer_options: dict[str, Any]
    ) -> Control | None:
        """Residuals of all rows, with zeros where there is no control; None when none acts."""
        identities, sides = transformer_options["uuids"], transformer_options["cond_or_uncond"]
        owners = [self._controls[identity] for identity in identities]
        given: list[Control | None] = [None] * batched_number
        places = [0] * batched_number
        for control in {id(owner): owner for owner in owners if owner is not None}.values():
            groups = [group for group, owner in enumerate(owners) if owner is control]
            own = {key: _rows(value, groups, batched_number) for key, value in cond.items()}
            told = {"uuids": [identities[g] for g in groups], "cond_or_uncond": [sides[g] for g in groups]}
            x, sigmas = _rows(x_noisy, groups, batched_number), _rows(t, groups, batched_number)
            residuals = control.get_control(x, sigmas, own, len(groups), {**transformer_options, **told})
            if residuals is not None and len(groups) == batched_number:
                return residuals
            for place, group in enumerate(groups):
                given[group], places[group] = residuals, place
        if not any(residuals is not None for residuals in given):
            return None
        pictures = x_noisy.shape[0] // batched_number
        return pending(lambda: _lay_together(given, places, pictures), _lengths(given))


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


def _lengths(given: Sequence[Control | None]) -> dict[str, int | None]:
    """How long the lists will be; None where only a network tells."""
    lengths: dict[str, int | None] = {}
    for part in PARTS:
        known = [known_length(control, part) for control in given]
        lengths[part] = None if None in known else max(length or 0 for length in known)
    return lengths


def _lay_together(given: Sequence[Control | None], places: Sequence[int], pictures: int) -> Control:
    """Lists for all rows. given: of each group of rows; places: which group that is in the tensors of its control."""
    # What a control repeats over several blocks is laid together once.
    done: dict[tuple[int, ...], Tensor] = {}
    laid: Control = {}
    for part in PARTS:
        lists = [[] if control is None else list(control.get(part) or []) for control in given]
        laid[part] = []
        for index in range(max(map(len, lists))):
            tensors = [residuals[index] if index < len(residuals) else None for residuals in lists]
            key = tuple(map(id, tensors))
            if key not in done and any(tensor is not None for tensor in tensors):
                done[key] = _stack(tensors, places, pictures)
            laid[part].append(done.get(key))
    return laid


def _stack(tensors: Sequence[Tensor | None], places: Sequence[int], pictures: int) -> Tensor:
    """The rows of all groups, zeros where there is no tensor."""
    some = next(tensor for tensor in tensors if tensor is not None)
    nothing = some.new_zeros(()).expand(pictures, *some.shape[1:])
    return torch.cat(
        [
            nothing if tensor is None else _of_place(tensor, place, pictures)
            for tensor, place in zip(tensors, places, strict=True)
        ]
    )


def _of_place(tensor: Tensor, place: int, pictures: int) -> Tensor:
    """The rows of one group; a single row stands for all."""
    if tensor.shape[0] == 1:
        return tensor.expand(pictures, *tensor.shape[1:])
    return tensor[place * pictures : (place + 1) * pictures]

"""Tells controls which rows belong to the negative prompt.

The host numbers the prompts of a step by their place in a list, and guiders fill that list in different orders
(DualCFGGuider: negative, middle, positive). So the prompt is looked up by the identity of its conditioning: the guider
knows each by a name, and ControlNet Apply marks what it was wired to. The number counts only where neither is known.
"""

from collections.abc import Mapping, Sequence
from typing import Any

PROMPTS_OPTION = "zeroconv_prompts"
PROMPT_KEY = "zeroconv_prompt"
"""Key in a conditioning under which ControlNet Apply marks it "positive" or "negative"."""

POSITIVE, NEGATIVE = "positive", "negative"
KNOWN_NAMES = {POSITIVE: False, "middle": False, NEGATIVE: True, "empty_negative_prompt": True}
"""Whether a prompt is negative, by the name that core's guiders give it."""
NEGATIVE_MARK = 1
"""The host's number of the negative prompt in `cond_or_uncond`, where the guider is an ordinary one."""


def prompts_of_guider(guider: Any) -> dict[Any, bool]:
    """Whether each conditioning of a guider (`comfy.samplers.CFGGuider`) is negative, by its identity.

    Those that the guider knows by a name of its own are left out.
    """
    named: Mapping[str, Sequence[Mapping[str, Any]] | None] = getattr(guider, "conds", {})
    return {
        entry["uuid"]: KNOWN_NAMES[name]
        for name, entries in named.items()
        if name in KNOWN_NAMES
        for entry in entries or ()
        if "uuid" in entry
    }


def prompts_of(conds: Sequence[Any], known: Mapping[Any, bool]) -> dict[str, Any]:
    """Options that tell which conditionings of a step are negative. known: by the guider's names."""
    marked = {
        entry["uuid"]: entry[PROMPT_KEY] == NEGATIVE
        for prompt in conds
        if prompt is not None
        for entry in prompt
        if PROMPT_KEY in entry
    }
    return {PROMPTS_OPTION: {**marked, **known}}


def read_negative(options: Mapping[str, Any], group_count: int) -> tuple[bool, ...]:
    """Whether each group of rows belongs to the negative prompt. options: the host's `transformer_options`."""
    marks = options.get("cond_or_uncond") or (0,) * group_count
    known, identities = options.get(PROMPTS_OPTION, {}), options.get("uuids") or (None,) * len(marks)
    return tuple(known.get(uuid, mark == NEGATIVE_MARK) for uuid, mark in zip(identities, marks, strict=True))

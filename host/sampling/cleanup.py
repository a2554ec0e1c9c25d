"""Learn that a sampling has ended, also when it failed or was cancelled.

The host calls a control's `cleanup` only when a sampling succeeds; the model's own `cleanup` it calls always, and that
tells whoever asked. What is added to the model for it takes itself off again.
"""

from collections.abc import Callable
from typing import Any

import comfy.patcher_extension

ON_CLEANUP = comfy.patcher_extension.CallbacksMP.ON_CLEANUP


def when_sampling_ends(model: Any, name: str, act: Callable[[], None]) -> None:
    """Call `act` once, when the sampling that is about to begin has ended.

    model: the host's base model, in its `pre_run`. name: of what is to end; the last `act` given for it counts.
    """
    patcher = getattr(model, "current_patcher", None)
    if patcher is None:
        return

    def end(_: Any) -> None:
        patcher.remove_callbacks_with_key(ON_CLEANUP, name)
        act()

    patcher.remove_callbacks_with_key(ON_CLEANUP, name)
    patcher.add_callback_with_key(ON_CLEANUP, name, end)

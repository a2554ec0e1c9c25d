"""When stand-ins are registered: after all packs, under ids that are free, unless the setting turns them off."""

import logging
from typing import Any

from ...host.packs import read_setting, register_missing, running_server, when_packs_are_loaded
from ..checked import checked
from ..errors import with_printable_errors
from . import STAND_INS
from .calling import callable_by_others
from .node import node_of
from .replacing import complete_missing

logger = logging.getLogger(__name__)

NAMES = {row.id: row.label for row in STAND_INS}

SETTING = "ZeroConv.StandIns"
"""The switch in ComfyUI's settings dialog (js/settings.js); it counts from the next start on."""


def serve_stand_ins() -> None:
    """Register them when all packs are loaded, and help the host to replace those that are turned off."""
    when_packs_are_loaded(register_stand_ins)
    server = running_server()
    if server is not None:
        server.add_on_prompt_handler(_complete)


def register_stand_ins() -> list[str]:
    """Register those whose ids are free. Returns their ids."""
    if not read_setting(SETTING, True):
        return []
    free = register_missing(
        {row.id: callable_by_others(with_printable_errors(checked(node_of(row))), row) for row in STAND_INS},
        NAMES,
        "ZeroConvLoad",
    )
    if free:
        logger.info("ZeroConv stands in for %d nodes of packs that are not installed.", len(free))
    return free


def _complete(request: dict[str, Any]) -> dict[str, Any]:
    prompt = request.get("prompt")
    if isinstance(prompt, dict):
        complete_missing(STAND_INS, prompt)
    return request

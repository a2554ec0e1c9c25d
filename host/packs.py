"""Other packs in the same ComfyUI: nodes that are registered once all of them are loaded."""

import importlib
import json
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import folder_paths
from aiohttp import web

logger = logging.getLogger(__name__)

SETTINGS_FILE = Path("default", "comfy.settings.json")
"""The file of the front end's settings, in ComfyUI's user folder."""
MOST_SETTINGS = 1 << 20
"""Bytes of it that are read."""


def when_packs_are_loaded(act: Callable[[], object]) -> None:
    """Call `act` when ComfyUI has loaded all packs, whatever their order, and before it answers anybody.

    That is the start of its web server. Without one (a test, the command line) there is nobody to serve.
    """
    server = running_server()
    if server is None:
        return

    async def started(app: web.Application) -> None:
        try:
            act()
        except Exception:  # a fault of ours must not keep ComfyUI from starting
            logger.exception("ZeroConv: the nodes that stand in for other packs' could not be registered.")

    server.app.on_startup.append(started)


def running_server() -> Any:
    """ComfyUI's server, or None."""
    module = sys.modules.get("server")
    return getattr(module.PromptServer, "instance", None) if module else None


def register_missing(nodes: Mapping[str, type[Any]], names: Mapping[str, str], beside: str) -> list[str]:
    """Register nodes under ids that no pack has taken. Returns these ids.

    names: to show, by id. beside: id of a node of ours, to whose pack the host shall count them.
    """
    host = _node_tables()
    ours = host.NODE_CLASS_MAPPINGS.get(beside)
    free = [node_id for node_id in nodes if node_id not in host.NODE_CLASS_MAPPINGS]
    for node_id in free:
        nodes[node_id].RELATIVE_PYTHON_MODULE = getattr(ours, "RELATIVE_PYTHON_MODULE", "custom_nodes")
        host.NODE_CLASS_MAPPINGS[node_id] = nodes[node_id]
        host.NODE_DISPLAY_NAME_MAPPINGS.setdefault(node_id, names[node_id])
    return free


def is_registered(node_id: str) -> bool:
    """Whether any pack has a node of that id."""
    return node_id in _node_tables().NODE_CLASS_MAPPINGS


def _node_tables() -> ModuleType:
    """The host's module of nodes, which shares its name with our room."""
    return importlib.import_module("nodes")


def read_setting(name: str, usual: bool) -> bool:
    """A switch of ComfyUI's settings dialog; `usual` where it was never set, or the file cannot be read."""
    path = Path(folder_paths.get_user_directory()) / SETTINGS_FILE
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(MOST_SETTINGS)).get(name, usual)
    except (OSError, ValueError, AttributeError):
        return usual
    return value if isinstance(value, bool) else usual

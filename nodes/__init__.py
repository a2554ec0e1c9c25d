"""The nodes that ComfyUI shows: one file a topic, gathered here."""

import importlib

from comfy_api.latest import ComfyExtension, io

from ..host.loading.load import register_xlabs_folder
from ..host.preprocessing.folders import register_folders
from ..host.routes import serve_step_positions
from .checked import checked
from .compat import offer_replacements
from .errors import with_printable_errors
from .stand_ins import STAND_INS
from .stand_ins.registering import serve_stand_ins

TOPICS = (
    "load",
    "inspect",
    "convert",
    "apply",
    "union",
    "stack",
    "schedule",
    "block_weights",
    "control_mode",
    "cfg_weights",
    "item_strengths",
    "range_counting",
    "match_program",
    "hint",
    "preview_steps",
    "fewer_runs",
    "step_cache",
    "report",
    "preprocess",
    "sketch",
    "pose",
    "pose_motion",
    "pose_files",
    "train",
)


class ZeroConvExtension(ComfyExtension):
    """All nodes of the pack, and what the host must know of it before they run."""

    def __init__(self) -> None:
        super().__init__()
        self._registered = False

    async def on_load(self) -> None:
        nodes = {node.define_schema().node_id: node for node in await self.get_node_list()}
        await offer_replacements(STAND_INS, nodes)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes. Folders and routes are registered here, once: ComfyUI 0.3.75 does not call `on_load`."""
        if not self._registered:
            self._registered = True
            register_folders()
            register_xlabs_folder()
            serve_step_positions()
            serve_stand_ins()
        modules = (importlib.import_module(f".{topic}", __name__) for topic in TOPICS)
        return [with_printable_errors(checked(node)) for module in modules for node in module.NODES]

"""The nodes that ComfyUI shows: a folder for each of their menus, one file a topic, gathered here."""

import importlib

from comfy_api.latest import ComfyExtension, io

from ..host.loading.load import register_xlabs_folder
from ..host.preprocessing.folders import register_folders
from ..host.routes import serve_step_positions
from ..host.weights_route import serve_weights
from .checked import checked
from .compat import offer_replacements
from .errors import with_printable_errors
from .stand_ins import STAND_INS
from .stand_ins.registering import serve_stand_ins

TOPICS = (
    "control.load",
    "control.inspect",
    "control.convert",
    "control.apply",
    "control.union",
    "control.stack",
    "control.video_control",
    "strength.schedule",
    "strength.block_weights",
    "strength.control_mode",
    "strength.cfg_weights",
    "strength.item_strengths",
    "strength.range_counting",
    "strength.match_program",
    "hint.fit",
    "hint.preview",
    "speed.fewer_runs",
    "speed.step_cache",
    "report.preview_steps",
    "report.record",
    "preprocess.methods",
    "preprocess.fetch_weights",
    "preprocess.save_depth",
    "draw.sketch",
    "draw.pose",
    "draw.pose_motion",
    "draw.pose_files",
    "train.pairs",
    "train.options",
    "train.train",
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
            serve_weights()
            serve_stand_ins()
        modules = (importlib.import_module(f".{topic}", __name__) for topic in TOPICS)
        return [with_printable_errors(checked(node)) for module in modules for node in module.NODES]

"""The nodes that ComfyUI shows: one file a topic, gathered here."""

import importlib

from comfy_api.latest import ComfyExtension, io

TOPICS = (
    "load",
    "inspect",
    "apply",
    "union",
    "stack",
    "schedule",
    "weights",
    "mode",
    "fit",
    "steps",
    "preprocess",
    "sketch",
    "train",
)


class ZeroConvExtension(ComfyExtension):
    """All nodes of the pack."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        modules = (importlib.import_module(f".{topic}", __name__) for topic in TOPICS)
        return [node for module in modules for node in module.NODES]

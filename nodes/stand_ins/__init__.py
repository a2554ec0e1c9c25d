"""Nodes of other packs by ours, under the ids that workflows and other programs ask for.

A row of the table says what the other pack's node is like and how its work is done. From the rows come the nodes,
registered only where the pack itself is not (`registering.py`), and the replacements that newer hosts offer
(`replacing.py`). They are hidden from search and menus: to add by hand there are our own nodes.
"""

from .advanced_controlnet import CONTROLNETS
from .controlnet_aux import PREPROCESSORS
from .hint_tools import TOOLS
from .row import StandIn

STAND_INS: tuple[StandIn, ...] = (*PREPROCESSORS, *TOOLS, *CONTROLNETS)

"""Advanced-ControlNet: its loaders, Apply, weights and keyframes, by ours. As in its version 1.5.8."""

from .apply import APPLIERS
from .keyframe_nodes import KEYFRAME_NODES
from .loaders import LOADERS
from .weights import WEIGHT_NODES

CONTROLNETS = (*LOADERS, *APPLIERS, *WEIGHT_NODES, *KEYFRAME_NODES)

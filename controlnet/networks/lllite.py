"""ControlNet-LLLite (kohya-ss): small networks that shift what the attention layers of the SDXL UNet read.

Each module belongs to one projection of one attention layer and changes its input x, of tokens:
x + up(mid([hint, down(x)])), where down and mid end in a ReLU, all three are linear, and hint is the control image
brought to the tokens' grid by convolutions of the module's own. Source: kohya-ss/sd-scripts
`networks/control_net_lllite.py`. The hint's part does not depend on the step: it is computed once.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...storage.weights import shapes_of
from .build import fill
from .dimensions import Shapes, shape_of
from .layers import Attention, Ops, match_rows, torch_attention

PREFIX = "lllite_unet_"
PLACE = re.compile(
    PREFIX + r"(?:(input|output)_blocks_(\d+)|(middle)_block)_1_transformer_blocks_(\d+)_(attn1_to_[qkv]|attn2_to_q)$"
)
STRIDES = {1: (4, 2), 2: (4, 4), 3: (4, 4, 2)}
"""Strides (and sides) of the hint's convolutions by depth: to a half, a quarter and an eighth of the latent's grid."""
PIXELS = 32
"""Pixels of a point at the deepest depth; hints are padded to a multiple of it."""
SDXL_FIRST_WIDTH = 640
"""Width of the first level of SDXL that has attention."""


@dataclass(frozen=True)
class Placement:
    """Which input of which attention layer a module changes.

    part: input, middle or output. block: its number there. layer: of the block's transformer. projection:
    attn1_to_q, attn1_to_k, attn1_to_v or attn2_to_q.
    """

    part: str
    block: int
    layer: int
    projection: str


@dataclass(frozen=True)
class ModuleDimensions:
    """width: of the tokens. hidden: of the module. hint_width: of the embedded hint. depth: 1 to 3, see STRIDES."""

    width: int
    hidden: int
    hint_width: int
    depth: int


def parse_placement(name: str) -> Placement:
    """The placement that a module's name says. Raises ValueError when it is none that an attention patch can reach."""
    found = PLACE.match(name)
    if found is None:
        raise ValueError(
            f"This ControlNet-LLLite changes the layer '{name.removeprefix(PREFIX)}'; ZeroConv knows those that change "
            "the queries, keys and values of attention."
        )
    part, block, middle, layer, projection = found.groups()
    return Placement(part or middle, int(block or 0), int(layer), projection)


def infer_lllite(shapes: Shapes) -> dict[str, ModuleDimensions]:
    """Read the dimensions of every module off the shapes. Raises ValueError when parts are missing."""
    names = dict.fromkeys(key.partition(".")[0] for key in shapes)
    return {name: _infer_module(shapes, name) for name in names if parse_placement(name)}


def _infer_module(shapes: Shapes, name: str) -> ModuleDimensions:
    first = shape_of(shapes, f"{name}.conditioning1.0.weight", 4)
    down = shape_of(shapes, f"{name}.down.0.weight", 2)
    if f"{name}.conditioning1.4.weight" in shapes:
        depth = 3
    else:
        depth = 2 if shape_of(shapes, f"{name}.conditioning1.2.weight", 4)[-1] == 4 else 1
    return ModuleDimensions(width=down[1], hidden=down[0], hint_width=2 * first[0], depth=depth)


class LLLiteModule(nn.Module):
    """The shift of one projection's input."""

    def __init__(self, dims: ModuleDimensions, ops: Ops) -> None:
        super().__init__()
        strides, half = STRIDES[dims.depth], dims.hint_width // 2
        self.depth = dims.depth
        widths = (3, *(half for _ in strides[:-1]), dims.hint_width)
        layers: list[nn.Module] = []
        for before, after, stride in zip(widths, widths[1:], strides, strict=False):
            layers += [ops.Conv2d(before, after, stride, stride=stride), nn.ReLU()]
        self.conditioning1 = nn.Sequential(*layers[:-1])
        self.down = nn.Sequential(ops.Linear(dims.width, dims.hidden), nn.ReLU())
        self.mid = nn.Sequential(ops.Linear(dims.hidden + dims.hint_width, dims.hidden), nn.ReLU())
        self.up = nn.Sequential(ops.Linear(dims.hidden, dims.width))

    def embed_hint(self, hint: Tensor, latent_size: tuple[int, int]) -> Tensor:
        """hint: (B, 3, H, W), -1..1, sides divisible by PIXELS, of a latent of this size -> (B, tokens, hint_width)."""
        rows, columns = (-(-side // 2 ** (self.depth - 1)) for side in latent_size)
        return self.conditioning1(hint)[:, :, :rows, :columns].flatten(2).transpose(1, 2)

    def forward(self, tokens: Tensor, hint: Tensor) -> Tensor:
        """tokens: (rows, T, width). hint: from `embed_hint`, of one row or of as many. Returns the shift."""
        hint = match_rows(hint, tokens.shape[0]).expand(tokens.shape[0], -1, -1)
        return self.up(self.mid(torch.cat([hint, self.down(tokens)], dim=-1)))


class LLLite(nn.Module):
    """All modules of a file, by the names it gives them."""

    def __init__(self, dims: Mapping[str, ModuleDimensions], ops: Ops = nn) -> None:
        super().__init__()
        self.dims = dict(dims)
        for name, module in dims.items():
            self.add_module(name, LLLiteModule(module, ops))
        self.placements = {parse_placement(name): name for name in dims}
        self.blocks = tuple(
            dict.fromkeys((placement.part, placement.block) for placement in sorted(self.placements, key=_by_depth))
        )
        """The UNet's blocks that have modules, in order of depth."""

    @property
    def module_names(self) -> tuple[str, ...]:
        """Names of all modules, in the order in which `embed_hint` gives their hints."""
        return tuple(name for name, module in self.named_children() if isinstance(module, LLLiteModule))

    def at(self, placement: Placement) -> LLLiteModule | None:
        """The module of a placement."""
        name = self.placements.get(placement)
        module = None if name is None else self.get_submodule(name)
        return module if isinstance(module, LLLiteModule) else None

    def embed_hint(self, hint: Tensor, latent_size: tuple[int, int]) -> dict[str, Tensor]:
        """The hint as every module needs it, once for a sampling.

        hint: (B, 3, 8h, 8w), 0..1, of a latent of h x w. Odd sides are continued to the grid by their last points.
        """
        height, width = hint.shape[-2:]
        border = (0, -width % PIXELS, 0, -height % PIXELS)
        padded = nn.functional.pad(hint * 2 - 1, border, mode="replicate")
        modules = ((name, module) for name, module in self.named_children() if isinstance(module, LLLiteModule))
        return {name: module.embed_hint(padded, latent_size) for name, module in modules}


def _by_depth(placement: Placement) -> tuple[int, int]:
    return ("input", "middle", "output").index(placement.part), placement.block


def build_lllite(state_dict: Mapping[str, Tensor], ops: Ops = nn, attention: Attention = torch_attention) -> LLLite:
    """Make the modules that a state dict describes, around the very tensors given (no copy).

    attention: not used. Raises ValueError when keys are missing or left over.
    """
    dims = infer_lllite(shapes_of(state_dict))
    with torch.device("meta"):
        network = LLLite(dims, ops)
    return fill(network, state_dict, "ControlNet-LLLite")

"""For a file of no known kind: which kind it resembles most, and what it lacks."""

from ..networks.dimensions import Shapes

SIGNS: dict[str, tuple[str, ...]] = {
    "ControlNet, LDM layout": (
        "zero_convs.0.0.weight",
        "input_hint_block.0.weight",
        "middle_block_out.0.weight",
        "input_blocks.0.0.weight",
    ),
    "ControlNet, diffusers layout": (
        "controlnet_cond_embedding.conv_in.weight",
        "controlnet_down_blocks.0.weight",
        "controlnet_mid_block.weight",
        "conv_in.weight",
    ),
    "Control-LoRA": ("lora_controlnet", "input_hint_block.0.weight", "zero_convs.0.0.weight", "time_embed.0.up"),
    "T2I-Adapter": ("body.0.block1.weight", "body.0.block2.weight", "body.1.block1.weight", "conv_in.weight"),
    "light T2I-Adapter": ("body.0.in_conv.weight", "body.0.out_conv.weight", "body.0.body.0.block1.weight"),
}
"""Keys that every file of a kind has."""

PREFIXES = ("", "control_model.", "adapter.")


def nearest(shapes: Shapes) -> str:
    """A sentence with the nearest kind and a key that is missing; empty when the file resembles none."""
    found = {name: {key for key in keys if _holds(shapes, key)} for name, keys in SIGNS.items()}
    best = max(SIGNS, key=lambda name: len(found[name]) / len(SIGNS[name]))
    if len(found[best]) < 2:
        return ""
    missing = next((key for key in SIGNS[best] if key not in found[best]), None)
    lack = f", but lacks '{missing}'" if missing else ""
    return f"It resembles a {best}{lack}. "


def _holds(shapes: Shapes, key: str) -> bool:
    return any(prefix + key in shapes for prefix in PREFIXES)

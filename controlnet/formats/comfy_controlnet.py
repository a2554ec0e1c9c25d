"""Controls that ComfyUI's own networks run: what they are, by keys and shapes.

Sources: the state dicts of InstantX and Stability (SD3), XLabs, InstantX, Shakker, Alimama and Mistoline (Flux),
Tencent (Hunyuan-DiT), InstantX and Alibaba (Qwen-Image), Stability (Stable Cascade), and the order in which
`comfy.controlnet.load_controlnet_state_dict` looks at keys. The tensors stay under their own names: the host renames.
"""

from collections.abc import Callable, Mapping
from math import ceil

from torch import Tensor

from ..networks.dimensions import Shapes
from .format import Description, Format

FLUX_UNION_TYPES = ("canny", "tile", "depth", "blur", "pose", "gray", "low quality")
"""Kinds of hint by number in the Flux unions of InstantX and Shakker (the model cards); their table has ten rows."""

FLUX_DOUBLE, FLUX_SINGLE = 19, 38
"""Blocks of the base model; a ControlNet of fewer blocks serves several with each residual."""

QWEN_BLOCKS = 60
FIRST = "controlnet_blocks.0.weight"


def _is_hunyuan(shapes: Shapes) -> bool:
    return "after_proj_list.18.bias" in shapes


def _is_xlabs(shapes: Shapes) -> bool:
    return FIRST in shapes and "double_blocks.0.img_attn.norm.key_norm.scale" in shapes


def _is_mistoline(shapes: Shapes) -> bool:
    return "controlnet_blocks.0.linear.weight" in shapes


def _is_sd3(shapes: Shapes) -> bool:
    return FIRST in shapes and "pos_embed_input.proj.weight" in shapes and not _is_sd35(shapes)


def _is_sd35(shapes: Shapes) -> bool:
    return FIRST in shapes and {"pos_embed_input.proj.weight", "transformer_blocks.0.adaLN_modulation.1.bias"} <= {
        *shapes
    }


def _is_qwen(shapes: Shapes) -> bool:
    return FIRST in shapes and "transformer_blocks.0.img_mlp.net.0.proj.weight" in shapes


def _is_qwen_fun(shapes: Shapes) -> bool:
    marks = {"control_img_in.weight", "control_blocks.0.after_proj.weight", "control_blocks.0.txt_mlp.net.2.weight"}
    return marks <= {*shapes}


def _is_instantx(shapes: Shapes) -> bool:
    return FIRST in shapes and "controlnet_x_embedder.weight" in shapes and not _is_qwen(shapes)


def _is_cascade(shapes: Shapes) -> bool:
    return "backbone.0.0.weight" in shapes or "backbone.10.blocks.0.weight" in shapes


def _blocks(shapes: Shapes, prefix: str) -> int:
    """How many numbered modules there are under a prefix."""
    return len({key[len(prefix) :].split(".")[0] for key in shapes if key.startswith(prefix)})


def _describe_flux(shapes: Shapes) -> Description:
    singles = _blocks(shapes, "controlnet_single_blocks.") + _blocks(shapes, "single_controlnet_blocks.")
    modes = shapes.get("controlnet_mode_embedder.weight", (0,))[0]
    return Description("Flux", 3, FLUX_DOUBLE + (FLUX_SINGLE if singles else 0), FLUX_UNION_TYPES[:modes])


def _describe_sd3(shapes: Shapes) -> Description:
    depth, blocks = shapes["pos_embed_input.proj.weight"][0] // 64, _blocks(shapes, "transformer_blocks.")
    return Description("SD3", 3, depth // blocks * blocks - 1)


def _describe_sd35(shapes: Shapes) -> Description:
    depth, blocks = shapes["pos_embed_input.proj.weight"][0] // 64, _blocks(shapes, "transformer_blocks.")
    return Description("SD3.5", 3, ceil(depth / blocks) * blocks)


def _describe_hunyuan(shapes: Shapes) -> Description:
    return Description("Hunyuan-DiT", 3, _blocks(shapes, "after_proj_list."))


def _describe_qwen(shapes: Shapes) -> Description:
    return Description("Qwen-Image", 3, QWEN_BLOCKS)


def _describe_qwen_fun(shapes: Shapes) -> Description:
    return Description("Qwen-Image", 3, _blocks(shapes, "control_blocks."))


def _describe_cascade(shapes: Shapes) -> Description:
    first = shapes.get("backbone.0.0.weight") or shapes["backbone.0.weight"]
    return Description("Stable Cascade", first[1], _blocks(shapes, "projections."))


def _as_they_are(tensors: dict[str, Tensor], base: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    return tensors


def _of_comfy(
    identifier: str,
    label: str,
    recognise: Callable[[Shapes], bool],
    describe: Callable[[Shapes], Description],
    kind: str = "comfy_controlnet",
    since: str = "0.3.75",
) -> Format:
    return Format(identifier, label, recognise, _as_they_are, describe, kind=kind, since=since)


COMFY_CONTROLNETS = (
    _of_comfy("hunyuan-dit", "Hunyuan-DiT ControlNet", _is_hunyuan, _describe_hunyuan),
    _of_comfy("flux-xlabs", "Flux ControlNet of XLabs", _is_xlabs, _describe_flux),
    _of_comfy("flux-mistoline", "Flux ControlNet of Mistoline", _is_mistoline, _describe_flux),
    _of_comfy("sd35", "SD3.5 ControlNet", _is_sd35, _describe_sd35),
    _of_comfy("sd3", "SD3 ControlNet", _is_sd3, _describe_sd3),
    _of_comfy("qwen-image", "Qwen-Image ControlNet", _is_qwen, _describe_qwen),
    _of_comfy("qwen-fun", "Qwen-Image Fun ControlNet", _is_qwen_fun, _describe_qwen_fun, since="0.33"),
    _of_comfy("flux", "Flux ControlNet", _is_instantx, _describe_flux),
    _of_comfy("stable-cascade", "Stable Cascade ControlNet", _is_cascade, _describe_cascade, "stable_cascade"),
)

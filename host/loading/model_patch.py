"""Build the host's networks of model patches from a file in the `controlnet` folder.

The host's own loader reads its folder `model_patches` only, and takes the official widths for granted.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import comfy.latent_formats
import comfy.model_management
import comfy.ops
import comfy.utils
import torch
from torch import Tensor, nn

from ...controlnet.formats import Format
from ...controlnet.formats.anima_lllite import infer_anima
from ...controlnet.formats.format import Description
from ...controlnet.formats.model_patch import infer_qwen, infer_z_image
from ...controlnet.formats.uni3c import infer_uni3c
from ...controlnet.hint.inpaint import Inpaint
from ...controlnet.networks.build import fill
from ...controlnet.networks.dimensions import Shapes
from ...storage.weights import shapes_of
from ..compat import anima_networks, model_patch_nodes, uni3c_networks, update_needed, z_image_networks
from ..controls.anima_lllite import AnimaLLLiteRunner
from ..controls.loaded_network import LoadedNetwork
from ..controls.model_patch import BlockwisePatch, ModelPatchRunner, PatchKind, ZImagePatch
from ..controls.runner import HintView, PatchRunner
from ..controls.uni3c import Uni3CRunner

QWEN_MASK_PARTS = 4
"""Channels of a token for one channel of the latent."""
MakeRunner = Callable[[LoadedNetwork[Any], Description], PatchRunner]
Built = tuple[nn.Module, MakeRunner]
Metadata = Mapping[str, str]
Build = Callable[[dict[str, Tensor], Shapes, Metadata], Built]
"""(converted tensors, their shapes, the file's metadata) -> the network, and what makes a runner for it. Raises
ValueError when they do not fit, ImportError or AttributeError when the host has no such network."""


def load_model_patch(
    build: Build, form: Format, tensors: dict[str, Tensor], name: str, metadata: Metadata
) -> PatchRunner:
    """A runner for the converted tensors of a file.

    build: of this kind of model patch. Raises ValueError when the host has no such network, or the file does not fit
    it.
    """
    shapes = shapes_of(tensors)
    try:
        network, make_runner = build(tensors, shapes, metadata)
    except (ImportError, AttributeError) as error:
        raise ValueError(update_needed(form.label, form.since)) from error
    stored = comfy.utils.weight_dtype(tensors) or torch.float32
    loaded = LoadedNetwork.wrap(name, network, stored, comfy.model_management.get_torch_device())
    return make_runner(loaded, form.describe(shapes))


def build_qwen(tensors: dict[str, Tensor], shapes: Shapes, metadata: Metadata) -> Built:
    """DiffSynth's block-wise ControlNet of Qwen-Image."""
    dims = infer_qwen(shapes)
    with torch.device("meta"):
        network = model_patch_nodes().QwenImageBlockWiseControlNet(
            num_layers=dims.blocks, dim=dims.width, additional_in_dim=dims.beside, operations=comfy.ops.manual_cast
        )
    kind = PatchKind(
        places=("double_block",),
        patch=BlockwisePatch,
        see=_see_qwen,
        latent_format=comfy.latent_formats.Wan21(),
        width=dims.width,
        inpaint_input="hint" if dims.beside else "none",
    )
    return fill(network, tensors, "Qwen-Image ControlNet"), functools.partial(ModelPatchRunner, kind)


def _see_qwen(network: Any, latent: Tensor, view: HintView) -> Tensor:
    """Tokens of the hint's latent, with the mask of an inpainting network: 1 where the picture is to be kept."""
    if network.additional_in_dim:
        channels = network.additional_in_dim // QWEN_MASK_PARTS
        kept = view.masks[0].float()
        way = "nearest-exact" if kept.numel() == 1 else "bilinear"  # the whole picture is exactly one
        mask = comfy.utils.common_upscale(kept, latent.shape[-1], latent.shape[-2], way, "none")
        spread = mask.to(latent).view(-1, 1, *(1,) * (latent.dim() - 4), *mask.shape[-2:])
        latent = torch.cat([latent, spread.expand(latent.shape[0], channels, *latent.shape[2:])], dim=1)
    return network.process_input_latent_image(latent.clone())


def build_z_image(tensors: dict[str, Tensor], shapes: Shapes, metadata: Metadata) -> Built:
    """The Fun ControlNet of Z-Image."""
    dims = infer_z_image(shapes)
    tensors = model_patch_nodes().z_image_convert(tensors)
    with torch.device("meta"):
        network = z_image_networks().ZImage_Control(
            dim=dims.width,
            n_heads=dims.heads,
            n_kv_heads=dims.value_heads,
            n_control_layers=dims.layers,
            additional_in_dim=dims.beside,
            refiner_control=dims.refines,
            broken=dims.refines and not tensors["control_noise_refiner.0.after_proj.weight"].any(),
            operations=comfy.ops.manual_cast,
        )
    kind = PatchKind(
        places=("noise_refiner", "double_block"),
        patch=ZImagePatch,
        see=_see_z_image,
        latent_format=comfy.latent_formats.Flux(),
        width=dims.width,
        inpaint_input="beside" if dims.beside else "none",
    )
    return fill(network, tensors, "Z-Image ControlNet"), functools.partial(ModelPatchRunner, kind)


def _see_z_image(network: Any, latent: Tensor, view: HintView) -> Tensor:
    """The hint's latent; of newer files with the mask and the latent of the picture to complete.

    Without such a picture it is grey and nothing of it is to be kept, as in the host's `ZImageFunControlnet`.
    """
    scale = comfy.latent_formats.Flux().process_in
    parts = [scale(latent)]
    if network.additional_in_dim:
        picture, kept = _completed(view)
        beside = scale(view.vae_encode(picture))
        if kept is None:
            known = torch.zeros_like(beside[:, :1])
        else:
            size = beside.shape[-1], beside.shape[-2]
            known = comfy.utils.common_upscale(kept.to(beside), *size, "nearest", "center")
        count = max(part.shape[0] for part in (latent, known, beside))
        parts = [comfy.utils.repeat_to_batch_size(part, count) for part in (*parts, known, beside)]
    border = (0, latent.shape[-1] % 2, 0, latent.shape[-2] % 2)  # a token is 2 x 2 points
    return nn.functional.pad(torch.cat(parts, dim=1), border, mode="replicate")


def _completed(view: HintView) -> tuple[Tensor, Tensor | None]:
    """The picture to complete, grey where it is to be painted anew, (B, 3, H, W), and the mask of what is kept."""
    inpaint = view.inpaint or Inpaint(None, None)
    if inpaint.picture is None:
        return torch.full_like(view.pixels()[:1], 0.5), None
    picture, kept = view.pixels(inpaint.picture), inpaint.kept
    if kept is None:
        return picture, None
    hole = comfy.utils.common_upscale(kept.to(picture), picture.shape[-1], picture.shape[-2], "bilinear", "center")
    count = max(picture.shape[0], hole.shape[0])
    picture, hole = (comfy.utils.repeat_to_batch_size(part, count) for part in (picture, hole))
    return (picture - 0.5) * hole.round() + 0.5, kept


def build_anima(tensors: dict[str, Tensor], shapes: Shapes, metadata: Metadata) -> Built:
    """kohya's ControlNet-LLLite of Anima."""
    infer_anima(shapes)
    with torch.device("meta"):
        network = anima_networks().AnimaLLLite(tensors, metadata, operations=comfy.ops.manual_cast)
    return fill(network, tensors, "ControlNet-LLLite for Anima"), AnimaLLLiteRunner


def build_uni3c(tensors: dict[str, Tensor], shapes: Shapes, metadata: Metadata) -> Built:
    """Uni3C of Wan."""
    dims = infer_uni3c(shapes)
    with torch.device("meta"):
        network = uni3c_networks().WanUni3CControlnet(
            in_channels=dims.in_channels,
            conv_out_dim=dims.embedding,
            dim=dims.width,
            ffn_dim=dims.hidden,
            num_layers=dims.layers,
            time_embed_dim=dims.time_width,
            out_proj_dim=dims.base_width,
            add_channels=dims.camera,
            mid_channels=dims.camera_hidden,
            operations=comfy.ops.manual_cast,
        )
    return fill(network, tensors, "Uni3C ControlNet"), Uni3CRunner

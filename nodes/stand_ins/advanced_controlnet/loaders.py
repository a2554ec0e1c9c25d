"""Advanced-ControlNet's loaders: plain, for differences, CtrLoRA, SparseCtrl and unions."""

from functools import partial
from typing import Any

from torch import Tensor

from ....controlnet.hint.order import parse_frames
from ....host.controls.union import add_union_hint, set_union_type
from ....host.loading.load import load_control
from ....host.settings import with_fit
from ..keyframes import TimestepKeyframes, parts_of
from ..row import Input, Replacement, StandIn, choice, image, number, socket, switch
from .apply import WithVae, parted
from .rows import CONTROL, file, optional, row


def _with_keyframes(control: Any, keyframes: TimestepKeyframes | None) -> Any:
    """The control with keyframes of its loader. Raises ValueError for some that only Apply can follow."""
    if not keyframes:
        return control
    parts = parts_of(keyframes, None, None)
    if len(parts) > 1 or parts[0].mask is not None:
        raise ValueError(
            "These keyframes change weights, latents or masks during the sampling. Wire them to timestep_kf of Apply "
            "Advanced ControlNet, not to the loader."
        )
    return parted(control, parts[0], None)


def _load(name: str, keyframes: str, **values: Any) -> Any:
    """name, keyframes: of the inputs with the file and the keyframes."""
    return _with_keyframes(load_control(values[name], values.get("model")), values[keyframes])


WITH_MODEL = {"model": "model"}
POOLED = "A shuffle ControlNet acts on the positive prompt only, as ControlNet Load makes it by default."


def _loader(id: str, difference: bool, name: str, keyframes: str) -> StandIn:
    inputs = ((socket("model", "MODEL"),) if difference else ()) + (
        file(name),
        optional(keyframes, "TIMESTEP_KEYFRAME"),
    )
    carried = {"control_net": name, **(WITH_MODEL if difference else {})}
    label = "Load Advanced ControlNet Model" + (" (diff)" if difference else "")
    run = partial(_load, name, keyframes)
    replacement = Replacement("ZeroConvLoad", carried)
    return row(id, label, inputs, CONTROL, run, replacement=replacement, difference=POOLED)


def _load_ctrlora(base: str, lora: str) -> Any:
    return load_control(lora, base_file=base)


def _load_sparse(sparsectrl_name: str, **values: Any) -> Any:
    """Raises ValueError for multipliers that a control of ours has not."""
    for name in ("motion_strength", "motion_scale", "sparse_hint_mult", "sparse_nonhint_mult", "sparse_mask_mult"):
        if values[name] != 1:
            raise ValueError(f"{name} is {values[name]:g}; ZeroConv runs SparseCtrl with 1 only. Set it to 1.")
    control = load_control(sparsectrl_name)
    frames: tuple[int, ...] = values["sparse_method"] or ()
    if frames:
        control = with_fit(control, control.settings.fit, control.settings.hint_order, frames=frames)
    return _with_keyframes(control, values["tk_optional"])


def _spread(spread: str) -> tuple[int, ...]:
    if spread != "uniform":
        raise ValueError(
            f"spread is '{spread}'; ZeroConv spreads evenly. Name the frames with SparseCtrl Index Method."
        )
    return ()


UNION_TYPES = {
    "openpose": "openpose",
    "depth": "depth",
    "hed/pidi/scribble/ted": "soft edges",
    "canny/lineart/mlsd": "lines",
    "normal": "normal",
    "segment": "segment",
    "tile": "tile",
    "inpaint/outpaint": "repaint",
}


def _load_union(name: str, control_type: str) -> Any:
    control = load_control(name)
    return control if control_type == "none" else set_union_type(control, UNION_TYPES[control_type])


def _load_union_with_hints(plus_input: tuple[tuple[Tensor, str], ...], name: str) -> tuple[Any, ...]:
    (first, kind), *more = plus_input
    control = _load_union(name, kind)
    for hint, another in more:
        control = add_union_hint(control, UNION_TYPES[another], hint, 1.0)
    return control, first


def _union_hint(image: Tensor, control_type: str, prev_plus_input: Any) -> Any:
    return [*(prev_plus_input or ()), (image, control_type)]


LOADERS = (
    _loader("ACN_ControlNetLoaderAdvanced", False, "cnet", "_tk_opt"),
    _loader("ACN_DiffControlNetLoaderAdvanced", True, "cnet", "_tk_opt"),
    _loader("ControlNetLoaderAdvanced", False, "control_net_name", "tk_optional"),
    _loader("DiffControlNetLoaderAdvanced", True, "control_net_name", "tk_optional"),
    row("ACN_AnimaLLLiteLoaderAdvanced", "Load Anima LLLite Model",
         (file("model_patch"), optional("timestep_kf", "TIMESTEP_KEYFRAME")), CONTROL,
         partial(_load, "model_patch", "timestep_kf"),
         replacement=Replacement("ZeroConvLoad", {"control_net": "model_patch"})),
    row("ACN_CtrLoRALoader", "Load CtrLoRA Model", (file("base"), file("lora")), CONTROL, _load_ctrlora,
         replacement=Replacement("ZeroConvLoad", {"control_net": "lora", "base_file": "base"})),
    row("ACN_SparseCtrlLoaderAdvanced", "Load SparseCtrl Model",
         (file("sparsectrl_name"), switch("use_motion", True), number("motion_strength", 1.0, 0.0, 10.0, 0.001),
          number("motion_scale", 1.0, 0.0, 10.0, 0.001), optional("sparse_method", "SPARSE_METHOD"),
          optional("tk_optional", "TIMESTEP_KEYFRAME"), choice("context_aware", "nearest_hint", "off", optional=True),
          *(number(f"sparse_{part}_mult", 1.0, 0.0, 10.0, 0.001, optional=True)
            for part in ("hint", "nonhint", "mask"))),
         CONTROL, _load_sparse, replacement=Replacement("ZeroConvLoad", {"control_net": "sparsectrl_name"}),
         difference="A motion module inside the file is left out; frames without a hint get none in any window."),
    row("ACN_SparseCtrlIndexMethodNode", "SparseCtrl Index Method", (Input("indexes", "STRING", "0"),),
         (("SPARSE_METHOD", "SPARSE_METHOD"),), lambda indexes: parse_frames(indexes)),
    row("ACN_SparseCtrlSpreadMethodNode", "SparseCtrl Spread Method",
         (choice("spread", "uniform", "starting", "ending", "center"),), (("SPARSE_METHOD", "SPARSE_METHOD"),),
         _spread),
    row("ACN_SparseCtrlRGBPreprocessor", "RGB SparseCtrl",
         (image(), socket("vae", "VAE"), socket("latent_size", "LATENT")), (("IMAGE", "proc_IMAGE"),),
         lambda image, vae, latent_size: WithVae(image, vae)),
    row("ACN_ControlNet++LoaderSingle", "Load ControlNet++ Model (Single)",
         (file("name"), choice("control_type", *UNION_TYPES, "none", default="none")), CONTROL, _load_union),
    row("ACN_ControlNet++LoaderAdvanced", "Load ControlNet++ Model (Multi)",
         (socket("plus_input", "PLUS_INPUT"), file("name")), (*CONTROL, ("IMAGE", "IMAGE")), _load_union_with_hints),
    row("ACN_ControlNet++InputNode", "ControlNet++ Input",
         (image(), choice("control_type", *UNION_TYPES), optional("prev_plus_input", "PLUS_INPUT")),
         (("PLUS_INPUT", "PLUS_INPUT"),), _union_hint),
)  # fmt: skip

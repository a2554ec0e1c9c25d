"""comfyui_controlnet_aux: its nodes around hints: sizes, poses, and preprocessors chosen by name."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...controlnet.hint.fit import Fit, FitMode, fit_hint, pixel_perfect_resolution
from ...host.preprocessing.pose_files import save_keypoints
from ...host.preprocessing.run import has_weights
from ...preprocessors.pose.drawing.canvas import PoseStyle
from ...preprocessors.pose.drawing.poses import draw_frames
from ...preprocessors.pose.read_keypoints import from_pose_keypoint
from .controlnet_aux import PACK, PICTURE, PREPROCESSORS, RESOLUTION
from .row import Input, StandIn, choice, image, socket, switch, whole

FITS: dict[str, FitMode] = {"Just Resize": "stretch", "Crop and Resize": "crop", "Resize and Fill": "fit inside"}
SIZES = (("INT", "IMAGE_GEN_WIDTH (INT)"), ("INT", "IMAGE_GEN_HEIGHT (INT)"))
TARGET = (
    whole("image_gen_width", 512, 64, 8192, 8),
    whole("image_gen_height", 512, 64, 8192, 8),
    choice("resize_mode", *FITS),
)


def _pixel_perfect(original_image: Tensor, image_gen_width: int, image_gen_height: int, resize_mode: str) -> tuple[int]:
    height, width = original_image.shape[1:3]
    return (pixel_perfect_resolution((height, width), (image_gen_height, image_gen_width), FITS[resize_mode]),)


def _resized(hint_image: Tensor, image_gen_width: int, image_gen_height: int, resize_mode: str) -> tuple[Tensor]:
    """Lines stay unbroken, and few colors unmixed."""
    fit = Fit(FITS[resize_mode], "edges")
    hint = hint_image[..., :3].movedim(-1, 1)
    return (fit_hint(hint, (image_gen_height, image_gen_width), fit).movedim(1, -1),)


RESIZERS = (
    StandIn("PixelPerfectResolution", "Pixel Perfect Resolution", PACK, (image("original_image"), *TARGET),
            (("INT", "RESOLUTION (INT)"),), _pixel_perfect),
    StandIn("HintImageEnchance", "Enchance And Resize Hint Images", PACK, (image("hint_image"), *TARGET), PICTURE,
            _resized, difference="Lines of one pixel are thinned by another method, borders rounded by a pixel."),
    StandIn("ImageGenResolutionFromImage", "Generation Resolution From Image", PACK, (image(),), SIZES,
            lambda image: (image.shape[2], image.shape[1])),
    StandIn("ImageGenResolutionFromLatent", "Generation Resolution From Latent", PACK, (socket("latent", "LATENT"),),
            SIZES, lambda latent: (latent["samples"].shape[-1] * 8, latent["samples"].shape[-2] * 8)),
)  # fmt: skip


def _drawn_people(kps: Any, render_body: bool, render_hand: bool, render_face: bool) -> tuple[Tensor]:
    """The first frame."""
    frames = from_pose_keypoint(kps)[:1]
    return (draw_frames(frames, PoseStyle(render_body, render_hand, render_face)),)


def _drawn_animals(kps: Any) -> tuple[Tensor]:
    """The first frame."""
    first, *_ = from_pose_keypoint(kps)
    return (draw_frames([replace(first, poses=tuple(pose for pose in first.poses if pose.animal))]),)


def _saved(pose_kps: Any, filename_prefix: str) -> tuple[()]:
    save_keypoints(pose_kps, filename_prefix)
    return ()


POSES = (
    StandIn("SavePoseKpsAsJsonFile", "Save Pose Keypoints", PACK,
            (socket("pose_kps", "POSE_KEYPOINT"), Input("filename_prefix", "STRING", "PoseKeypoint")), (), _saved,
            shown=True),
    StandIn("RenderPeopleKps", "Render Pose JSON (Human)", PACK,
            (socket("kps", "POSE_KEYPOINT"), *(switch(f"render_{part}", True) for part in ("body", "hand", "face"))),
            PICTURE, _drawn_people),
    StandIn("RenderAnimalKps", "Render Pose JSON (Animal)", PACK, (socket("kps", "POSE_KEYPOINT"),), PICTURE,
            _drawn_animals),
)  # fmt: skip


NOTHING = "none"
BY_NAME = {row.id: row for row in PREPROCESSORS if row.id != "InpaintPreprocessor"}
NAMES = (NOTHING, *BY_NAME)


def _preprocessed(image: Tensor, preprocessor: str, resolution: int) -> tuple[Tensor]:
    """By the preprocessor with its usual settings."""
    if preprocessor == NOTHING:
        return (image,)
    row = BY_NAME[preprocessor]
    usual = {item.id: item.default for item in row.inputs}
    return row.run(**{**usual, "image": image, **({"resolution": resolution} if "resolution" in usual else {})})[:1]


def _all_of_them(image: Tensor, resolution: int) -> tuple[Tensor]:
    """Each with its name on it, at the size of the first, one after the other for every image."""
    names = [name for name in NAMES if name == NOTHING or has_weights(BY_NAME[name].weights)]
    hints = [_labeled(_preprocessed(image, name, resolution)[0], name)[0] for name in names]
    height, width = hints[0].shape[1:3]
    fitted = [fit_hint(hint.movedim(-1, 1), (height, width), Fit("crop", "nearest")).movedim(1, -1) for hint in hints]
    return (torch.cat(fitted),)


def _labeled(image: Tensor, text: str) -> tuple[Tensor]:
    """The first image with a text in its upper left corner."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray((image[0, ..., :3].clamp(0, 1) * 255).cpu().numpy().astype(np.uint8))
    ImageDraw.Draw(picture).text((0, 0), text, fill=(0, 255, 0), font=ImageFont.load_default(40))
    return (torch.from_numpy(np.asarray(picture).astype(np.float32) / 255)[None],)


CHOSEN = (
    StandIn("AIO_Preprocessor", "AIO Aux Preprocessor", PACK,
            (image(), choice("preprocessor", *NAMES, optional=True), RESOLUTION), PICTURE, _preprocessed),
    StandIn("ControlNetPreprocessorSelector", "Preprocessor Selector", PACK, (choice("preprocessor", *NAMES),),
            (("COMBO", "preprocessor"),), lambda preprocessor: (preprocessor,)),
    StandIn("ExecuteAllControlNetPreprocessors", "Execute All ControlNet Preprocessors", PACK, (image(), RESOLUTION),
            PICTURE, _all_of_them, difference="Those whose weights are missing are left out."),
    StandIn("ControlNetAuxSimpleAddText", "ControlNetAuxSimpleAddText", PACK, (image(), Input("text", "STRING", "")),
            PICTURE, _labeled, difference="In Pillow's own font."),
)  # fmt: skip

TOOLS = (*RESIZERS, *POSES, *CHOSEN)

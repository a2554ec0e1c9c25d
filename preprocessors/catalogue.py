"""The methods there are: one row for each file that describes some. A new method is a file and a row."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache

from .description import Preprocessor

METHODS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("edges_canny", ("CANNY", "CANNY_AUTO", "CANNY_PYRAMID")),
    ("soft_edges", ("HED", "PIDINET", "TEED")),
    ("soft_edges_anyline", ("ANYLINE",)),
    ("lines_mlsd", ("MLSD", "MLSD_TINY")),
    ("lines_lsd", ("LINES_LSD",)),
    ("scribble", ("SCRIBBLE", "SCRIBBLE_XDOG")),
    ("scribble_from_photo", ("SCRIBBLE_HED", "SCRIBBLE_PIDINET", "SKETCH_PIDINET")),
    ("lineart", ("LINEART_REALISTIC", "LINEART_COARSE", "LINEART_ANIME", "LINEART_MANGA")),
    ("lineart_standard", ("LINEART_STANDARD",)),
    ("threshold", ("THRESHOLD", "INVERT")),
    ("pose_openpose", ("OPENPOSE",)),
    ("pose_dwpose", ("DWPOSE",)),
    ("pose_vitpose", ("VITPOSE",)),
    ("pose_mediapipe", ("MEDIAPIPE_POSE",)),
    ("pose_face_mesh", ("FACE_MESH",)),
    ("pose_animal", ("ANIMAL_POSE",)),
    ("segmentation", ("UNIFORMER", "ONEFORMER_ADE20K", "ONEFORMER_COCO")),
    ("depth_midas", ("MIDAS_DEPTH",)),
    ("depth_anything", ("DEPTH_ANYTHING_V2", "DEPTH_ANYTHING_V2_METRIC", "DEPTH_ANYTHING")),
    ("depth_zoe", ("ZOE_DEPTH",)),
    ("depth_zoe_anything", ("ZOE_DEPTH_ANYTHING",)),
    ("depth_leres", ("LERES_DEPTH",)),
    ("metric3d", ("METRIC3D_DEPTH", "METRIC3D_NORMALS")),
    ("normals_bae", ("NORMAL_BAE",)),
    ("normals_dsine", ("DSINE",)),
    ("normals_midas", ("MIDAS_NORMALS",)),
    ("normals_from_depth", ("NORMALS_FROM_DEPTH",)),
    ("shuffle", ("SHUFFLE",)),
    ("tile", ("TILE_RESAMPLE", "TILE_BLUR", "TILE_GUIDED")),
    ("inpaint", ("INPAINT",)),
    ("recolor", ("RECOLOR_LUMINANCE", "RECOLOR_INTENSITY")),
    ("color_grid", ("COLOR_GRID",)),
)
"""(module, its descriptions) in the order in which people see them."""


@cache
def preprocessors() -> Mapping[str, Preprocessor]:
    """Every preprocessor by its id. The modules are imported at the first call."""
    found: dict[str, Preprocessor] = {}
    for module_name, constants in METHODS:
        module = importlib.import_module(f".methods.{module_name}", __package__)
        for constant in constants:
            preprocessor: Preprocessor = getattr(module, constant)
            found[preprocessor.id] = preprocessor
    return found


def preprocessor_of(name: str) -> Preprocessor:
    """The preprocessor with that id, label or alias (in any case). Raises ValueError that lists the ids."""
    wanted = name.strip().lower()
    known = preprocessors()
    if wanted in known:
        return known[wanted]
    for preprocessor in known.values():
        if wanted in (preprocessor.label.lower(), *(alias.lower() for alias in preprocessor.aliases)):
            return preprocessor
    raise ValueError(f"No preprocessor is called '{name}'. There are: {', '.join(known)}.")

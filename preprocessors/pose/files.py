"""Poses as JSON files in OpenPose's format, as other packs and OpenPose itself write and read them.

One file may hold a whole film (a list of frames: comfyui_controlnet_aux), or one frame (OpenPose's `--write_json`,
`NAME_000000000012_keypoints.json`).
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ...storage.names import check_new_name, name_of, next_number
from ...storage.reading import parse_json, read_text
from ...storage.writing import write_bytes
from .keypoints import PoseFrame, to_pose_keypoint
from .read_keypoints import from_pose_keypoint

ENDING = ".json"
LARGEST_FILE = 64 << 20
"""Bytes that are read of a file: some ten thousand frames."""
MOST_FILES = 20_000
"""Files of a folder that are read: a quarter of an hour of film."""

FilmLayout = Literal["one file", "a file a frame"]
FILM_LAYOUTS: tuple[FilmLayout, ...] = get_args(FilmLayout)

OPENPOSE_VERSION = 1.3


@dataclass(frozen=True)
class Canvas:
    """The picture's size in pixels, for files that do not tell it, as OpenPose's own; 0: they must."""

    height: int = 0
    width: int = 0


def save_poses(folder: Path, name: str, frames: Sequence[PoseFrame], layout: FilmLayout) -> list[Path]:
    """Write the frames under a new name, NAME_00001 or the next free number, and return the paths.

    A file a frame goes into a folder of that name. Nothing is ever overwritten. Raises ValueError for a name that is
    not one, or when there are no frames; OSError when the disk is full.
    """
    if not frames:
        raise ValueError("There are no poses to save: the wired keypoints hold no frame.")
    free = f"{name}_{next_number(folder, check_new_name(name)):05}"
    written = to_pose_keypoint(frames)
    if layout == "one file":
        files = {folder / f"{free}{ENDING}": written}
    else:
        files = {
            folder / free / f"{free}_{number:012}_keypoints{ENDING}": {"version": OPENPOSE_VERSION, **frame}
            for number, frame in enumerate(written)
        }
    for path, content in files.items():
        write_bytes(path, json.dumps(content, separators=(",", ":")).encode())
    return list(files)


def load_poses(path: Path, canvas: Canvas, check: Callable[[], object] = lambda: None) -> list[PoseFrame]:
    """The frames of a file, or of all files of a folder in the order of the numbers in their names.

    check: called for every file; may raise to stop. Raises ValueError that names the file.
    """
    if not path.is_dir():
        return _load_file(path, canvas)
    files = sorted(path.glob(f"*{ENDING}"), key=_by_numbers)
    if not files:
        raise ValueError(f"The folder {name_of(path)} holds no .json files.")
    if len(files) > MOST_FILES:
        raise ValueError(f"The folder {name_of(path)} holds {len(files)} .json files; at most {MOST_FILES} are read.")
    frames: list[PoseFrame] = []
    for file in files:
        check()
        frames += _load_file(file, canvas)
    return frames


def _load_file(path: Path, canvas: Canvas) -> list[PoseFrame]:
    content = parse_json(read_text(path, LARGEST_FILE), name_of(path))
    try:
        return from_pose_keypoint(_with_canvas(content, canvas))
    except ValueError as error:
        raise ValueError(f"{name_of(path)} cannot be read as poses. {error}") from error


def _with_canvas(content: Any, canvas: Canvas) -> Any:
    """The frames, with a size where they have none. Raises ValueError where it is needed and not given."""
    frames = content if isinstance(content, list) else [content]
    sized = []
    for frame in frames:
        if isinstance(frame, dict) and not {"canvas_height", "canvas_width"} <= frame.keys():
            if not (canvas.height and canvas.width):
                raise ValueError(
                    "It does not tell the size of the picture, as OpenPose's own files do not. Set canvas_width and "
                    "canvas_height to that of the pictures it was made of."
                )
            frame = {**frame, "canvas_height": canvas.height, "canvas_width": canvas.width}
        sized.append(frame)
    return sized


def _by_numbers(path: Path) -> list[tuple[int, int, str]]:
    """Names sorted as people count: frame2 before frame10."""
    pieces = re.findall(r"\d{1,18}|\D{1,200}", path.name)
    return [(0, int(piece), "") if piece[0].isdecimal() else (1, 0, piece) for piece in pieces]

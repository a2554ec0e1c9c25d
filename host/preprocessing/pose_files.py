"""Pose files in ComfyUI's input and output folders."""

import json
import os
from pathlib import Path
from typing import Any

import comfy.model_management
import folder_paths

from ...preprocessors.pose.files import ENDING, Canvas, FilmLayout, load_poses, save_poses
from ...preprocessors.pose.keypoints import PoseFrame
from ...storage.writing import write_bytes

FROM_OUTPUT = " [output]"
"""As ComfyUI marks files of its output folder."""
MOST_LISTED = 2000
"""Entries of a folder that are looked at for the list."""


def list_pose_files() -> list[str]:
    """The .json files of both folders, and their sub-folders with such files, which end with a slash."""
    return _list(_folder(""), "") + _list(_folder(FROM_OUTPUT), FROM_OUTPUT)


def _folder(mark: str) -> Path:
    return Path(folder_paths.get_output_directory() if mark else folder_paths.get_input_directory())


def _list(folder: Path, mark: str) -> list[str]:
    if not folder.is_dir():
        return []
    found = []
    with os.scandir(folder) as entries:
        for entry, _ in zip(entries, range(MOST_LISTED), strict=False):
            if entry.is_file() and entry.name.lower().endswith(ENDING):
                found.append(entry.name)
            elif entry.is_dir() and next(Path(entry.path).glob(f"*{ENDING}"), None) is not None:
                found.append(f"{entry.name}/")
    return [name + mark for name in sorted(found)]


def find_pose_file(name: str) -> Path:
    """The file or folder of a choice. Raises ValueError for what is not in the list."""
    if name not in list_pose_files():
        raise ValueError(f"No pose file '{name}' is in ComfyUI's input or output folder. Put it there, then press R.")
    mark = FROM_OUTPUT if name.endswith(FROM_OUTPUT) else ""
    return _folder(mark) / name.removesuffix(FROM_OUTPUT)


def state_of(name: str) -> str:
    """A text that changes when the file, or one of the folder's, changes."""
    path = find_pose_file(name)
    files = sorted(path.glob(f"*{ENDING}")) if path.is_dir() else [path]
    return str([(file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files])


def load_pose_file(name: str, canvas: Canvas) -> list[PoseFrame]:
    """The frames of a choice; can be cancelled."""
    return load_poses(find_pose_file(name), canvas, comfy.model_management.throw_exception_if_processing_interrupted)


def save_pose_file(name: str, frames: list[PoseFrame], layout: FilmLayout) -> str:
    """Save into the output folder: where, in a sentence."""
    paths = save_poses(_folder(FROM_OUTPUT), name, frames, layout)
    if len(paths) == 1:
        return f"Saved as {paths[0].name} in the output folder."
    return f"Saved {len(paths)} files in {paths[0].parent.name} in the output folder."


def save_keypoints(frames: Any, prefix: str) -> Path:
    """Write POSE_KEYPOINT frames as JSON into ComfyUI's output folder, numbered behind `prefix`. Returns the file.

    Raises ValueError where there is no frame, or the prefix leads out of the folder.
    """
    if not frames:
        raise ValueError("There are no pose keypoints to save: the node that is wired to pose_kps found no picture.")
    size = frames[0]["canvas_width"], frames[0]["canvas_height"]
    folder, name, number, _, _ = folder_paths.get_save_image_path(prefix, folder_paths.get_output_directory(), *size)
    path = Path(folder) / f"{name}_{number:05}.json"
    write_bytes(path, json.dumps(frames).encode())
    return path

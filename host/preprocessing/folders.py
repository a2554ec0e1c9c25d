"""Where weight files of preprocessors lie: ComfyUI's folders, those of packs that people have, and the hub's cache."""

import os
from pathlib import Path

import folder_paths

FOLDER = "preprocessors"
"""Our key of ComfyUI's model folders; `preprocessors: path` in extra_model_paths.yaml adds to it."""


def register_folders() -> None:
    """Make `models/preprocessors` known to ComfyUI, where fetched files go."""
    own = os.path.join(folder_paths.models_dir, FOLDER)
    folder_paths.add_model_folder_path(FOLDER, own, is_default=FOLDER not in folder_paths.folder_names_and_paths)


def weight_folders() -> list[Path]:
    """Every folder to look into; the first is the one to fetch into."""
    register_folders()
    folders = [Path(path) for path in folder_paths.get_folder_paths(FOLDER)]
    return [*folders, *(folder for folder in (*_of_other_packs(), hub_cache()) if folder.is_dir())]


def hub_cache() -> Path:
    """Where `huggingface_hub` keeps what any program has downloaded: named by its variables, or in the home folder."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if named:
        return Path(named).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    return Path(os.environ.get("HF_HOME") or os.path.join(cache, "huggingface")).expanduser() / "hub"


def _of_other_packs() -> list[Path]:
    """Folders of comfyui_controlnet_aux, and of sd-webui-controlnet and Forge where their ControlNets are shared."""
    elsewhere = os.environ.get("AUX_ANNOTATOR_CKPTS_PATH")
    folders = [Path(elsewhere)] if elsewhere else []
    for custom_nodes in folder_paths.get_folder_paths("custom_nodes"):
        folders.append(Path(custom_nodes) / "comfyui_controlnet_aux" / "ckpts")
    for path in map(Path, folder_paths.get_folder_paths("controlnet")):
        models, webui = path.parent, path.parent.parent
        folders += [
            models / "ControlNetPreprocessor",
            webui / "extensions" / "sd-webui-controlnet" / "annotator" / "downloads",
            models / "annotator" / "downloads",
        ]
    return folders

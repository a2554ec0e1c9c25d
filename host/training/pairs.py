"""The pairs to train on, from ComfyUI's folders and image batches."""

from pathlib import Path

import folder_paths
from torch import Tensor

from ...preprocessors.catalogue import preprocessor_of
from ...preprocessors.running import Options, preprocess
from ...training.pairs.dataset import HintMaker, Preparation, TrainingSource
from ...training.pairs.pair import Pair
from ...training.pairs.pictures import TensorPicture
from ...training.pairs.prepared import PreparedSource
from ...training.pairs.sources import source_of_folder
from ..preprocessing.networks import HostNetworks

FROM_DATASET = "of the dataset"
"""Choice of hints: those that the dataset holds."""


def list_folders() -> list[str]:
    """Sub-folders of ComfyUI's input folder, by name."""
    root = Path(folder_paths.get_input_directory())
    return sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []


def source_of_input_folder(name: str, preparation: Preparation) -> TrainingSource | PreparedSource:
    """The pairs in a sub-folder of the input folder. Raises ValueError when there is no such folder."""
    if name not in list_folders():
        raise ValueError(f"There is no folder '{name}' in ComfyUI's input folder. Put the dataset there.")
    return source_of_folder(Path(folder_paths.get_input_directory()) / name, preparation)


def source_of_images(targets: Tensor, hints: Tensor | None, prompts: str, preparation: Preparation) -> TrainingSource:
    """The pairs in image batches, (N, H, W, 3), 0..1. prompts: a line for each picture, or one for all.

    With a hint maker `hints` is not used. Raises ValueError when the numbers do not fit, or hints are neither given nor
    made.
    """
    hints = None if preparation.hint_maker else hints
    if hints is not None and hints.shape[0] != targets.shape[0]:
        raise ValueError(f"There are {targets.shape[0]} targets, but {hints.shape[0]} hints. Give one hint for each.")
    if hints is None and preparation.hint_maker is None:
        raise ValueError("Wire hints, or choose a preprocessor that makes them from the targets.")
    lines = prompts.strip().splitlines() or [""]
    if len(lines) not in (1, targets.shape[0]):
        raise ValueError(f"There are {targets.shape[0]} targets, but {len(lines)} prompts. Give one line each, or one.")
    pairs = []
    for number, target in enumerate(targets):
        hint = None if hints is None else TensorPicture(f"hint {number + 1}", hints[number, ..., :3])
        prompt = lines[number % len(lines)].strip()
        pairs.append(Pair(TensorPicture(f"target {number + 1}", target[..., :3]), hint, prompt))
    return TrainingSource(pairs, preparation)


def hint_maker(method: str) -> HintMaker | None:
    """A preprocessor by name as maker of hints at the size of the picture; None for `FROM_DATASET`."""
    if method == FROM_DATASET:
        return None
    preprocessor, networks = preprocessor_of(method), HostNetworks()

    def make(image: Tensor) -> Tensor:
        return preprocess(preprocessor, image, networks, {}, Options(result_size="input")).image

    return HintMaker(preprocessor.id, make)

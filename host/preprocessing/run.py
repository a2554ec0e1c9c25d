"""Run preprocessors inside ComfyUI: its networks, its memory, its progress bar and its Cancel button."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import comfy.model_management
import comfy.utils
from comfy_execution.graph_utils import ExecutionBlocker
from torch import Tensor

from ...preprocessors.catalogue import preprocessors
from ...preprocessors.contact_sheet import compare, ready_methods
from ...preprocessors.depth_maps import AUTO, PRECISION
from ...preprocessors.description import Hint, Preprocessor, Settings
from ...preprocessors.running import Options, preprocess
from ...preprocessors.sizes import working_size
from ...preprocessors.weights.catalogue import find, to_safetensors, weights_of
from ...preprocessors.weights.fetch import get_weights
from ...preprocessors.weights.missing import check_there
from .folders import weight_folders
from .networks import NETWORKS

BYTES_PER_PIXEL = 4096
"""Working memory of one image's pixel in the widest networks (64 to 128 channels at full size, several at once)."""
LARGEST_CHUNK = 16
"""Images between two looks at the Cancel button."""


def run_preprocessor(preprocessor: Preprocessor, image: Tensor, settings: Settings, options: Options) -> Hint:
    """Hints of BHWC images, as `preprocessors.running.preprocess`; chunks follow the free memory."""
    options = replace(options, chunk=_chunk(preprocessor, image, options), progress=HostProgress())
    networks = NETWORKS.in_precision(str(settings.get(PRECISION.name, AUTO)))
    try:
        return preprocess(preprocessor, image, networks, settings, options)
    except FileNotFoundError:
        check_there(preprocessor.weights, weight_folders())  # says it of all files together
        raise


def output_without_value(reason: str) -> ExecutionBlocker:
    """The value of an output that has none this time: a node that is wired to it does not run, and shows the reason."""
    return ExecutionBlocker(reason)


def compare_preprocessors(image: Tensor, options: Options) -> Tensor:
    """The contact sheet of the first image: every method that needs no missing weights."""
    methods = ready_methods(preprocessors(), weight_folders(), options.mask is not None)
    mask = None if options.mask is None else options.mask[:1]
    return compare(methods, image[:1], NETWORKS, replace(options, mask=mask, progress=HostProgress()))


def has_weights(names: Sequence[str]) -> bool:
    """Whether the files of these rows of the weights are there."""
    folders = weight_folders()
    return all(find(weights_of(name), folders) is not None for name in names)


def fetch(name: str, convert: bool, overwrite: bool = False) -> tuple[Path, str]:
    """Fetch a row of the weights unless it is there already. Returns the file, and a sentence about it.

    convert: also write it as safetensors. overwrite: fetch it in any case. Raises ValueError when the file that is
    there is damaged or another one.
    """
    row, folders = weights_of(name), weight_folders()
    path, fetched = get_weights(row, folders, HostProgress(), overwrite)
    verb = "was fetched" if fetched else "is there already"
    if convert and path.suffix in (".pth", ".pt", ".ckpt"):
        path = to_safetensors(path, folders[0], row.checkpoint)
    restriction = " Its license forbids commercial use." if row.non_commercial else ""
    caution = f" {row.caution}" if row.caution else ""
    return path, f"{row.name} ({row.purpose}) {verb}: {path}. License: {row.license}.{restriction}{caution}"


def _chunk(preprocessor: Preprocessor, image: Tensor, options: Options) -> int:
    """Images at a time: one on a CPU, where more gain nothing; on a GPU what half of the free memory holds."""
    device = comfy.model_management.get_torch_device()
    if not preprocessor.weights or comfy.model_management.is_device_cpu(device):
        return 1
    height, width = working_size(image.shape[1], image.shape[2], options.resolution)
    free = comfy.model_management.get_free_memory(device) // 2
    return max(1, min(LARGEST_CHUNK, free // (height * width * BYTES_PER_PIXEL)))


class HostProgress:
    """Shows (done, total) on the node; raises the host's interrupt when Cancel was pressed."""

    def __init__(self) -> None:
        self._bar = comfy.utils.ProgressBar(1)

    def __call__(self, done: int, total: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        self._bar.update_absolute(done, total or 1)

"""The finished ControlNet as a file that ours, ComfyUI's own and other loaders read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..storage.writing import write_safetensors


@dataclass(frozen=True)
class FileMetadata:
    """The trained file's safetensors metadata.

    family: of the base model. base: its fingerprint. pairs: in the dataset. steps: that the ControlNet was trained for.
    license: the author's choice, such as "CC-BY-4.0"; empty: not stated.
    """

    family: str
    base: str
    pairs: int
    steps: int
    license: str = ""

    def metadata(self) -> dict[str, str]:
        """As safetensors metadata, with the names of Stability AI's ModelSpec where it has them."""
        return {
            "modelspec.sai_model_spec": "1.0.0",
            "modelspec.architecture": f"{self.family}/controlnet",
            "modelspec.license": self.license,
            "zeroconv.base_family": self.family,
            "zeroconv.base_fingerprint": self.base,
            "zeroconv.pairs": str(self.pairs),
            "zeroconv.steps": str(self.steps),
            "format": "pt",
        }


def save_controlnet(
    path: Path, weights: Mapping[str, Tensor], description: FileMetadata, dtype: torch.dtype = torch.float16
) -> None:
    """Write a ControlNet in LDM keys as `.safetensors`. Raises OSError when the disk is too full."""
    write_safetensors(path, {key: value.to(dtype) for key, value in weights.items()}, description.metadata())

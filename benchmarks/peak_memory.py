"""Peak memory and time of one method on one picture, with random weights of the official shapes.

python -m zeroconv.benchmarks.peak_memory METHOD SIZE [SETTING=VALUE ...]
"""

from __future__ import annotations

import importlib
import re
import sys
import time
from pathlib import Path

import torch
from torch import nn

from ..preprocessors.catalogue import preprocessors
from ..preprocessors.networks.official import Ops
from ..preprocessors.running import preprocess
from ..preprocessors.weights.catalogue import weights_of
from .models.official_weights import random_state_dict

STATE_DICTS = {
    "lineart_coarse": "lineart",
    "mteed_anyline": "teed",
    "midas": "midas_dpt_hybrid",
    "normalbae": "normalbae_scannet",
    "uniformer": "uniformer_upernet_global_small",
    "oneformer_coco": "oneformer_ade20k",
    "dav1_vits": "depth_anything_v2_vits",
    "dwpose_det": "yolox_l",
    "dwpose_pose": "dw_ll_ucoco_384",
    "dav2_vits": "depth_anything_v2_vits",
    "dav2_indoor_vits": "depth_anything_v2_vits",
    "zoe_da_indoor": "depth_anything_metric_depth",
    "zoe_da_outdoor": "depth_anything_metric_depth",
}
"""Lists of the official shapes that are not named as their rows in weights.toml, or serve for one like it."""


def megabytes(field: str) -> float:
    """A field of this process in Linux's own report; ru_maxrss would count what the process was before."""
    found = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) / 1024


def network_of(row: str, state_dict: dict[str, torch.Tensor] | None = None, ops: Ops = nn) -> nn.Module:
    """The network of a row, with random weights or those given."""
    module, _, builder = weights_of(row).network.partition(":")
    build = getattr(importlib.import_module(f"..preprocessors.networks.{module}", __package__), builder or "build")
    state_dict = state_dict or random_state_dict(STATE_DICTS.get(row, row))
    return build({"model": state_dict} if row.startswith("zoe") else state_dict, ops)


def main() -> None:
    name, size = sys.argv[1], int(sys.argv[2])
    given = dict(pair.split("=") for pair in sys.argv[3:])
    torch.set_num_threads(1)
    method = preprocessors()[name]
    settings = {key: type(method.settings()[key])(text) for key, text in given.items()}
    networks = {row: network_of(row) for row in method.weights}
    images = torch.rand(1, size, size, 3)
    before, begin = megabytes("VmRSS"), time.process_time()
    preprocess(method, images, lambda name: networks[name], settings)
    print(f"{megabytes('VmHWM') - before:8.0f} MB {time.process_time() - begin:8.1f} s")


if __name__ == "__main__":
    main()

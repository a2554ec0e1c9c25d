"""Peak memory and time of one method on one picture, with random weights of the official shapes: METHOD SIZE."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.random_weights import random_state_dict
from zeroconv.preprocessors.catalogue import preprocessors
from zeroconv.preprocessors.networks import hed, lineart, lineart_anime, manga_line, mlsd, pidinet, teed
from zeroconv.preprocessors.running import preprocess

BUILDERS = {
    "hed": (hed.build, "hed"),
    "pidinet": (pidinet.build, "pidinet"),
    "teed": (teed.build, "teed"),
    "mlsd_large": (mlsd.build_large, "mlsd_large"),
    "mlsd_tiny": (mlsd.build_tiny, "mlsd_tiny"),
    "lineart": (lineart.build, "lineart"),
    "lineart_coarse": (lineart.build, "lineart"),
    "lineart_anime": (lineart_anime.build, "lineart_anime"),
    "manga_line": (manga_line.build, "manga_line"),
}


def megabytes(field: str) -> float:
    """A field of this process in Linux's own report; ru_maxrss would count what the process was before."""
    found = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) / 1024


def network_of(row: str) -> nn.Module:
    build, names = BUILDERS[row]
    return build(random_state_dict(names))


def main() -> None:
    name, size = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    method = preprocessors()[name]
    networks = {row: network_of(row) for row in method.weights}
    images = torch.rand(1, size, size, 3)
    before, begin = megabytes("VmRSS"), time.process_time()
    preprocess(method, images, networks.__getitem__)
    print(f"{megabytes('VmHWM') - before:8.0f} MB {time.process_time() - begin:8.1f} s")


if __name__ == "__main__":
    main()

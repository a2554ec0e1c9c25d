"""The demonstration text encoder's result for a caption, without building the encoder.

`checkpoint` writes a CLIP-L whose token and position embeddings are random numbers of a fixed seed and whose layers
pass them on; its output is therefore the layer norm of their sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy
import torch

LENGTH, WIDTH, VOCABULARY = 77, 768, 49408
START, END = 49406, 49407
POSITION_SCALE = 0.5
SEED = 20230210
TOKENS: dict[str, int] = {
    "a": 320,
    "and": 537,
    "on": 525,
    "floor": 4125,
    "ball": 1069,
    "cube": 11353,
    "cone": 10266,
    "cylinder": 22092,
    "red": 736,
    "green": 1901,
    "blue": 1746,
    "yellow": 4481,
    "purple": 5496,
    "turquoise": 19899,
    "white": 1579,
    "grey": 5046,
    "black": 1449,
    "brown": 2866,
}
"""CLIP's number for every word of the world (ComfyUI `comfy/sd1_tokenizer/vocab.json`)."""


@lru_cache(maxsize=1)
def embeddings() -> tuple[torch.Tensor, torch.Tensor]:
    """Token (49408, 768) and position (77, 768) embeddings, float16; the same on every machine.

    numpy promises the stream of `RandomState` for good; half precision hides the last bit of the logarithm.
    """
    random = numpy.random.RandomState(SEED)
    position = random.standard_normal((LENGTH, WIDTH)).astype(numpy.float16) * numpy.float16(POSITION_SCALE)
    token = random.standard_normal((VOCABULARY, WIDTH)).astype(numpy.float16)
    return torch.from_numpy(token), torch.from_numpy(position)


def tokenize(caption: str) -> list[int]:
    """The 77 token numbers of a caption of the world. Raises ValueError for a word outside it."""
    words = caption.split()
    unknown = [word for word in words if word not in TOKENS]
    if unknown:
        raise ValueError(f"The demonstration model does not know '{unknown[0]}'. It knows: {', '.join(TOKENS)}.")
    tokens = [START, *(TOKENS[word] for word in words), END]
    return tokens + [END] * (LENGTH - len(tokens))


def encode_tokens(tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Contexts (N, 768) of N tokens at their positions."""
    token, position = embeddings()
    total = token[tokens].float() + position[positions].float()
    return torch.nn.functional.layer_norm(total, (WIDTH,))


class ContextTable:
    """The contexts of many captions, each pair of token and position once.

    `rows` (R, 768) are the different contexts, `index` (captions, 77) says which a caption consists of: so a model
    projects a few hundred rows a step instead of 77 a sample.
    """

    def __init__(self, captions: Sequence[str]) -> None:
        tokens = torch.tensor([tokenize(caption) for caption in captions])
        pairs = tokens * LENGTH + torch.arange(LENGTH)
        unique, self.index = pairs.unique(return_inverse=True)
        self.rows = encode_tokens(unique // LENGTH, unique % LENGTH)


def encode_captions(captions: Sequence[str]) -> torch.Tensor:
    """The contexts of captions: (N, 77, 768)."""
    table = ContextTable(captions)
    return table.rows[table.index]

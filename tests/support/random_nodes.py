"""Nodes of the test pack in a workflow: prompts and pictures of random numbers, without any model."""

from zeroconv.comfy_client.workflow import Conditioning, Image, Prompts, Workflow


def random_prompts(flow: Workflow, width: int, pooled_width: int = 0, tokens: int = 77, seed: int = 1) -> Prompts:
    """Two different conditionings of random numbers: no text encoder needed."""
    size = {"tokens": tokens, "width": width, "pooled_width": pooled_width}
    nodes = [flow.add("RandomConditioning", seed=seed + offset, **size) for offset in range(2)]
    return Prompts(Conditioning(nodes[0], 0), Conditioning(nodes[1], 0))


def random_image(flow: Workflow, width: int, height: int, batch: int = 1, seed: int = 1) -> Image:
    """White noise."""
    return Image(flow.add("RandomImage", seed=seed, width=width, height=height, batch=batch), 0)

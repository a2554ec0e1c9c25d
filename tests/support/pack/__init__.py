"""A custom node pack for the test server: conditionings and images of random numbers, without any model."""

import gc

import torch
from comfy_api.latest import ComfyExtension, io


class RandomConditioning(io.ComfyNode):
    """A prompt's encoding that no text encoder made."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RandomConditioning",
            category="tests",
            inputs=[
                io.Int.Input("seed"),
                io.Int.Input("tokens", default=77, max=1024),
                io.Int.Input("width", default=768, max=8192),
                io.Int.Input("pooled_width", default=0, max=8192),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, seed: int, tokens: int, width: int, pooled_width: int) -> io.NodeOutput:
        generator = torch.Generator().manual_seed(seed)
        cross = torch.randn(1, tokens, width, generator=generator)
        extra = {"pooled_output": torch.randn(1, pooled_width, generator=generator)} if pooled_width else {}
        return io.NodeOutput([[cross, extra]])


class RandomImage(io.ComfyNode):
    """White noise, 0..1."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RandomImage",
            category="tests",
            inputs=[
                io.Int.Input("seed"),
                io.Int.Input("width", default=64, max=8192),
                io.Int.Input("height", default=64, max=8192),
                io.Int.Input("batch", default=1, max=64),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, seed: int, width: int, height: int, batch: int) -> io.NodeOutput:
        generator = torch.Generator().manual_seed(seed)
        return io.NodeOutput(torch.rand(batch, height, width, 3, generator=generator))


class AllocatedBytes(io.ComfyNode):
    """All that tensors of the process hold, shared storage once."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="AllocatedBytes",
            category="tests",
            inputs=[io.Int.Input("nonce", tooltip="Another number measures again.")],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, nonce: int) -> io.NodeOutput:
        gc.collect()
        storages = {}
        for value in gc.get_objects():
            if issubclass(type(value), torch.Tensor):
                storage = value.untyped_storage()
                storages[storage.data_ptr()] = storage.nbytes()
        return io.NodeOutput(str(sum(storages.values())))


class OtherPacksNode(io.ComfyNode):
    """A node under an id that ours would stand in for: this pack is loaded after ours, and keeps it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="ControlNetAuxSimpleAddText", category="tests", inputs=[], outputs=[io.Image.Output()])

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(torch.zeros(1, 64, 64, 3))


class TestSupport(ComfyExtension):
    """The nodes above."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [RandomConditioning, RandomImage, AllocatedBytes, OtherPacksNode]


async def comfy_entrypoint() -> TestSupport:
    return TestSupport()

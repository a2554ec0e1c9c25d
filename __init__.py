"""ComfyUI entry point of ZeroConv ControlNet."""

WEB_DIRECTORY = "./js"


async def comfy_entrypoint() -> "ComfyExtension":  # noqa: F821
    """Return the extension; imported here so that tools can import `zeroconv` without ComfyUI."""
    from .nodes import ZeroConvExtension

    return ZeroConvExtension()

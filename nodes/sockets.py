"""Socket types of our own; all begin with ZEROCONV_."""

from comfy_api.latest import io

SCHEDULE = io.Custom("ZEROCONV_SCHEDULE")
BLOCK_WEIGHTS = io.Custom("ZEROCONV_BLOCK_WEIGHTS")

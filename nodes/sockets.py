"""Socket types: our own, which begin with ZEROCONV_, and one that packs share."""

from comfy_api.latest import io

SCHEDULE = io.Custom("ZEROCONV_SCHEDULE")
BLOCK_WEIGHTS = io.Custom("ZEROCONV_BLOCK_WEIGHTS")
POSE_KEYPOINT = io.Custom("POSE_KEYPOINT")
"""Shared with other packs: one OpenPose frame a picture."""

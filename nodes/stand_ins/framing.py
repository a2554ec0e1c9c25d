"""How comfyui_controlnet_aux brings a picture to its `resolution`, and the padding that its methods see.

In bytes: resized so that the shorter side has the resolution, then the last row and column repeated up to sides that
are multiples of 64, which are cut off from the result (`resize_image_with_pad`).
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...host.preprocessing.run import run_preprocessor
from ...preprocessors.description import Hint, Preprocessor, Settings
from ...preprocessors.pixels import map_bytes
from ...preprocessors.pose.keypoints import to_pose_keypoint
from ...preprocessors.running import Options
from ...preprocessors.sizes import as_rgb_on_white, working_size

SMALLEST, USUAL, LARGEST = 64, 512, 16384
"""The pack takes the usual resolution in place of one that is too small."""
BLOCK = 64


@dataclass(frozen=True)
class Framing:
    """cubic: whether pictures are enlarged cubically, and not by areas. padded: whether they get padding. step: the
    resolution is brought up to a multiple of it. afterwards: the method sees the picture at its own size, and the hint
    is resized; poses are those of the picture then. stretched: the padded picture is stretched to multiples of so many
    pixels for the network, and the hint shrunk back.
    """

    cubic: bool = True
    padded: bool = True
    step: int = 1
    afterwards: bool = False
    stretched: int = 1

    def run(self, method: Preprocessor, image: Tensor, resolution: Any, settings: Settings) -> tuple[Any, ...]:
        """The hint of BHWC images, and where the method finds people, their POSE_KEYPOINT."""
        shorter = resolution if isinstance(resolution, int) and resolution >= SMALLEST else USUAL
        size = working_size(image.shape[1], image.shape[2], -(-shorter // self.step) * self.step)
        if self.afterwards:
            hint = run_preprocessor(method, image, settings, Options())
            picture = map_bytes(hint.image, lambda rgb: self._resized(rgb, size))
            return (picture,) if hint.poses is None else (picture, to_pose_keypoint(hint.poses))
        framed = self.framed(image, size)
        padded = (framed.shape[1], framed.shape[2])
        sides = (self._stretched(padded[0]), self._stretched(padded[1]))
        if sides == padded:
            return _cut(run_preprocessor(method, framed, settings, Options()), size)
        hint = run_preprocessor(method, map_bytes(framed, lambda rgb: self._resized(rgb, sides)), settings, Options())
        return _cut(Hint(map_bytes(hint.image, lambda rgb: self._resized(rgb, padded))), size)

    def framed(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """BHWC images at a size, with their padding."""
        import cv2

        below, right = (-side % BLOCK if self.padded else 0 for side in size)

        def frame(rgb: Any) -> Any:
            return cv2.copyMakeBorder(self._resized(rgb, size), 0, below, 0, right, cv2.BORDER_REPLICATE)

        return map_bytes(as_rgb_on_white(image.detach()), frame)

    def _stretched(self, side: int) -> int:
        return -(-side // self.stretched) * self.stretched

    def _resized(self, rgb: Any, size: tuple[int, int]) -> Any:
        import cv2

        enlarge = cv2.INTER_CUBIC if self.cubic else cv2.INTER_AREA
        interpolation = enlarge if size[0] * size[1] > rgb.shape[0] * rgb.shape[1] else cv2.INTER_AREA
        return cv2.resize(rgb, size[::-1], interpolation=interpolation)


def _cut(hint: Hint, size: tuple[int, int]) -> tuple[Any, ...]:
    """Without the padding; the canvas of poses is that of the hint, where the pack's is that of the padding."""
    height, width = size
    picture = hint.image[:, :height, :width]
    if hint.poses is None:
        return (picture,)
    frames = to_pose_keypoint(hint.poses)
    return picture, [{**frame, "canvas_height": height, "canvas_width": width} for frame in frames]

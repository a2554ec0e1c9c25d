"""Control of videos that comes through a conditioning, not from a network of its own: its strength, range and mask.

ComfyUI's nodes (`comfy_extras/nodes_wan.py`, `nodes_lt.py`; 0.3.75 and 0.33) put it into the conditioning as latents
and numbers, for a whole sampling. Here new conditionings are made of them, one for each part of the sampling with
another strength. Three kinds:

VACE adds residuals, times a number: strength, range, schedule, mask and frames act on the residuals, exactly.
Wan Fun has the control among its input channels: no control is exact, what lies between is a mixture of latents.
LTX guides are tokens that attention sees, times a weight: exact, from ComfyUI 0.33 on.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import comfy.latent_formats
import torch
from torch import Tensor

from ..controlnet.hint.video import film_frames, pixel_frames
from ..controlnet.strength.mask import resize_mask
from ..controlnet.strength.per_item import ItemStrengths
from ..controlnet.strength.schedule import Schedule
from ..controlnet.strength.timeline import Span
from .conditioning import Conditioning

SCHEDULE_PARTS = 20
"""Even parts of the timesteps in which a schedule is followed, each at the strength of its middle."""
SEAM = 1e-5
"""A gap between two parts, as a fraction of the timesteps: at one noise level only one of them may act."""
WAN_COMPRESSION, LTX_COMPRESSION = 4, 8
"""Frames of the video to a frame of the latent, but for the first."""
FUN_CHANNELS = {32: comfy.latent_formats.Wan21, 96: comfy.latent_formats.Wan22}
"""Channels of what Wan Fun is given, the control's and a start image's, and the latents they are."""

Settings = dict[str, Any]


@dataclass(frozen=True, eq=False)
class VideoShape:
    """How a video's control is to act.

    strength: a factor on its own. start, end: fractions of the timesteps. mask: (B, H, W), 0..1, one for all frames or
    one a frame, the last held. frames: a strength for each frame of the video.
    Raises ValueError for a range that never acts.
    """

    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    schedule: Schedule | None = None
    mask: Tensor | None = None
    frames: ItemStrengths | None = None

    def __post_init__(self) -> None:
        Span(self.start, self.end)

    def parts(self) -> Iterator[tuple[float, float, float]]:
        """Start, end and strength of every part of the sampling, in order, without gaps."""
        inner = [(self.start, self.end, self.strength)]
        if self.schedule is not None:
            length = (self.end - self.start) / SCHEDULE_PARTS
            edges = [self.start + length * index for index in range(SCHEDULE_PARTS)]
            inner = [
                (edge, edge + length, self.strength * self.schedule.factor((index + 0.5) / SCHEDULE_PARTS))
                for index, edge in enumerate(edges)
            ]
        before = [(0.0, self.start, 0.0)] if self.start > 0 else []
        after = [(self.end, 1.0, 0.0)] if self.end < 1 else []
        merged: list[tuple[float, float, float]] = []
        for start, end, strength in [*before, *inner, *after]:
            if merged and merged[-1][2] == strength:
                merged[-1] = merged[-1][0], end, strength
            else:
                merged.append((start, end, strength))
        yield from merged

    def weights(self, latent_frames: int, compression: int, size: tuple[int, int]) -> Tensor | None:
        """The factor at every point of a latent, (frames, *size); None where all are one.

        compression: frames of the video to one of the latent. A frame of the latent gets the mean of its own.
        """
        if self.mask is None and self.frames is None:
            return None
        count = pixel_frames(latent_frames, compression)
        points = torch.ones(count, *size)
        if self.mask is not None:
            points = resize_mask(self.mask.float().clamp(0, 1), size)[list(film_frames(len(self.mask), count))]
        if self.frames is not None:
            points = points * torch.tensor(self.frames.factors(count)).view(-1, 1, 1)
        rest = points[1:].unflatten(0, (latent_frames - 1, compression)).mean(1) if latent_frames > 1 else points[:0]
        return torch.cat([points[:1], rest])


@dataclass(eq=False)
class ResidualStrength:
    """VACE's multipliers of its residuals: a number, and a factor for every token.

    weights: (tokens,), frame after frame. Those of equal content are equal, or ComfyUI could not run the prompts that
    have them together.
    """

    strength: float
    weights: Tensor
    _moved: dict[tuple[torch.device, torch.dtype], Tensor] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ResidualStrength):
            return NotImplemented
        return self.strength == other.strength and torch.equal(self.weights, other.weights)

    def __hash__(self) -> int:
        return hash(self.strength)

    def __rmul__(self, residual: Tensor) -> Tensor:
        """residual: (rows, tokens, C). Raises ValueError where those are not the tokens of the whole video."""
        if residual.shape[1] != self.weights.shape[0]:
            raise ValueError(
                f"The mask or frames of Shape Video Control lie over the {self.weights.shape[0]} tokens of the whole "
                f"video, but {residual.shape[1]} are sampled at a time. With VACE in context windows leave mask and "
                "frames out; strength, range and schedule act in every window."
            )
        place = residual.device, residual.dtype
        if place not in self._moved:
            self._moved[place] = (self.weights * self.strength).to(*place)[None, :, None]
        return residual * self._moved[place]


def shape_video_control(shape: VideoShape, conditioning: Conditioning) -> Conditioning:
    """A new conditioning in which its video control acts in this way; others are left as they are.

    Raises ValueError when there is none.
    """
    if not any(_kinds(settings) for _, settings in conditioning):
        raise ValueError(
            "This conditioning holds no video control that Shape Video Control knows. Put it behind WanVaceToVideo, "
            "WanFunControlToVideo, Wan22FunControlToVideo or LTXVAddGuide (of ComfyUI 0.33 or newer)."
        )
    if shape.strength == 1 and (shape.start, shape.end) == (0, 1) and not (shape.schedule or _has_place(shape)):
        return conditioning
    return [entry for embeddings, settings in conditioning for entry in _parts(shape, embeddings, settings)]


def _has_place(shape: VideoShape) -> bool:
    return shape.mask is not None or shape.frames is not None


def _parts(shape: VideoShape, embeddings: Any, settings: Settings) -> Iterator[list[Any]]:
    """An entry of a conditioning, once for every part of the sampling that it acts in."""
    kinds = _kinds(settings)
    first, last = settings.get("start_percent", 0.0), settings.get("end_percent", 1.0)
    for start, end, strength in shape.parts() if kinds else [(0.0, 1.0, 1.0)]:
        changed = {name: value for kind in kinds for name, value in kind(shape, strength, settings).items()}
        inside = max(start, first), min(end, last)
        if (start, end) == (0, 1):
            yield [embeddings, {**settings, **changed}]
        elif inside[0] < inside[1]:
            seam = SEAM if inside[1] == end and end < 1 else 0.0
            ranged = {"start_percent": inside[0], "end_percent": inside[1] - seam}
            yield [embeddings, {**settings, **changed, **ranged}]


Change = Callable[[VideoShape, float, Settings], Settings]


def _kinds(settings: Settings) -> list[Change]:
    """The function that changes each kind of control in a conditioning's settings."""
    found: list[Change] = []
    if settings.get("vace_frames"):
        found.append(_vace)
    concat = settings.get("concat_latent_image")
    if concat is not None and concat.shape[1] in FUN_CHANNELS:
        found.append(_fun)
    if settings.get("guide_attention_entries"):
        found.append(_guides)
    return found


def _vace(shape: VideoShape, strength: float, settings: Settings) -> Settings:
    frames, own = settings["vace_frames"], settings.get("vace_strength") or [1.0] * len(settings["vace_frames"])
    masks = settings.get("vace_mask") or [None] * len(frames)
    return {
        "vace_strength": [
            _residual_strength(shape, strength * before, latent, mask)
            for latent, mask, before in zip(frames, masks, own, strict=True)
        ]
    }


def _residual_strength(shape: VideoShape, strength: float, latent: Tensor, mask: Tensor | None) -> Any:
    """latent: (B, 32, frames, h, w), of which a reference image may be the first frame."""
    references = _reference_frames(latent, mask)
    size = latent.shape[-2] // 2, latent.shape[-1] // 2
    weights = shape.weights(latent.shape[2] - references, WAN_COMPRESSION, size)
    if weights is None or strength == 0:
        return strength
    weights = torch.cat([torch.ones(references, *size), weights])
    return ResidualStrength(strength, weights.flatten())


def _reference_frames(latent: Tensor, mask: Tensor | None) -> int:
    """How many frames at the start are a reference image: ComfyUI gives them an empty second half and no mask."""
    if mask is None:
        return 0
    empty = comfy.latent_formats.Wan21().process_out(torch.zeros_like(latent[:, 16:, :1]))
    count = 0
    while count < latent.shape[2] - 1 and torch.equal(latent[:, 16:, count : count + 1], empty):
        count += 1
    return count if not mask[:, :, :count].any() else 0


def _fun(shape: VideoShape, strength: float, settings: Settings) -> Settings:
    whole: Tensor = settings["concat_latent_image"]
    channels = whole.shape[1] // 2
    control = whole[:, :channels]
    empty = FUN_CHANNELS[whole.shape[1]]().process_out(torch.zeros_like(control))
    weights = shape.weights(whole.shape[2], WAN_COMPRESSION, (whole.shape[-2], whole.shape[-1]))
    factor = min(strength, 1.0) if weights is None else (weights * strength).clamp(max=1).to(control)
    if isinstance(factor, Tensor):
        mixed = torch.lerp(empty, control, factor.expand_as(control))
        mixed = torch.where(factor == 1, control, mixed)
    else:
        mixed = control if factor == 1 else torch.lerp(empty, control, factor)
    return {"concat_latent_image": torch.cat([mixed, whole[:, channels:]], dim=1)}


def _guides(shape: VideoShape, strength: float, settings: Settings) -> Settings:
    entries: list[Mapping[str, Any]] = settings["guide_attention_entries"]
    return {"guide_attention_entries": [_guide(shape, strength, entry) for entry in entries]}


def _guide(shape: VideoShape, strength: float, entry: Mapping[str, Any]) -> Settings:
    """One guide of ComfyUI's: {strength, pixel_mask: (1, 1, frames, H, W) or None, latent_shape, ...}."""
    changed: Settings = {"strength": entry["strength"] * strength}
    if _has_place(shape):
        frames, height, width = entry["latent_shape"]
        weights = shape.weights(frames, LTX_COMPRESSION, (height, width))
        own = entry.get("pixel_mask")
        if weights is not None and own is not None:
            weights = weights * torch.nn.functional.adaptive_avg_pool3d(own.float(), (frames, height, width))[0, 0]
        changed["pixel_mask"] = None if weights is None else weights[None, None]
    return {**entry, **changed}

"""Which frame of a film is the hint of which frame of the video that is sampled."""


def film_frames(hint_count: int, frame_count: int) -> tuple[int, ...]:
    """Index of the hint of each frame, for networks that see a film as their hint.

    Frame by frame, as in ComfyUI's own nodes for such networks: a longer film is cut, a shorter one holds its last
    frame, and one picture stands still.
    """
    return tuple(min(frame, hint_count - 1) for frame in range(frame_count))


def pixel_frames(latent_frames: int, compression: int) -> int:
    """Frames that a causal VAE decodes a latent to. compression: frames to a latent frame, but for the first."""
    return (latent_frames - 1) * compression + 1

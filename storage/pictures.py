"""Why a picture cannot be read, in words of ours: a decoder of a damaged picture can fail in any way."""

from pathlib import Path

from .names import name_of


def unreadable_picture(path: Path, error: Exception) -> ValueError:
    """The error for a picture that Pillow could not read."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, Image.DecompressionBombError):
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        why = f"it claims more than {most} megapixels. Make it smaller"
    elif isinstance(error, UnidentifiedImageError):
        why = "it is no picture of a known format"
    elif isinstance(error, FileNotFoundError):
        why = "it is not there any more"
    elif isinstance(error, PermissionError):
        why = "it may not be opened"
    else:
        why = "it is damaged or cut off"
    return ValueError(f"{name_of(path)} cannot be read as a picture: {why}.")

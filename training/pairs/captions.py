"""Prompts as datasets store them: caption files beside pictures, and columns of metadata."""

import codecs
from pathlib import Path
from typing import Any

SUFFIXES = (".txt", ".caption")
"""Suffixes of caption files; the first that exists counts. `.caption` is the default of kohya-ss/sd-scripts."""
COLUMNS = ("text", "prompt", "caption", "description")
"""Columns of metadata; the first that is there counts."""
MAX_CAPTION_BYTES = 100_000
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decode(content: bytes) -> str:
    """Text in UTF-8, or in UTF-16 with its byte order mark. Raises ValueError for other encodings."""
    try:
        return content.decode("utf-16" if content.startswith(UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8 text. Save it as UTF-8") from error


def read_caption(picture: Path) -> str:
    """The text beside a picture, "" when there is none. Raises ValueError that names a file that cannot be read."""
    for suffix in SUFFIXES:
        path = picture.with_suffix(suffix)
        try:
            if path.exists() and not path.is_file():
                raise ValueError("it is a folder or a device, not a file")
            with path.open("rb") as file:
                content = file.read(MAX_CAPTION_BYTES + 1)
            if len(content) > MAX_CAPTION_BYTES:
                raise ValueError(f"it is longer than {MAX_CAPTION_BYTES} bytes")
            return decode(content).strip()
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise ValueError(f"the caption '{path.name}' cannot be read: {error}") from error
    return ""


def prompt_of(entry: dict[str, Any]) -> str:
    """The prompt in an entry of metadata, "" when it has none; of several captions the first.

    Raises ValueError for a prompt that is not text.
    """
    value = next((entry[name] for name in COLUMNS if entry.get(name) is not None), "")
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, str):
        raise ValueError(f"its prompt is not text but {type(value).__name__}")
    return value.strip()

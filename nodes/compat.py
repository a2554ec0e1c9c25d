"""What only newer hosts have: used when present, done without when not. The one place that decides."""

import dataclasses
from typing import Any

from comfy_api.latest import io


def schema(**fields: Any) -> io.Schema:
    """A node schema without the fields that this host does not know (`search_aliases` before ComfyUI 0.11)."""
    known = {field.name for field in dataclasses.fields(io.Schema)}
    return io.Schema(**{name: value for name, value in fields.items() if name in known})

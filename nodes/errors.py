"""Errors of all nodes as the person at the canvas, the log and the terminal can read them."""

import functools
from collections.abc import Iterator
from typing import Any

from comfy_api.latest import io

from ..storage.names import printable

PRINTABLE_ERRORS = "_zeroconv_printable"


def with_printable_errors(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """The same node; its errors hold nothing that cannot be printed.

    ComfyUI prints what a node raises. A name that is not Unicode, or a text with half a character, would end the
    thread that runs prompts, and no prompt would run until a restart.
    """
    if PRINTABLE_ERRORS not in vars(node):
        run = node.execute.__func__  # pyright: ignore[reportFunctionMemberAccess]

        @functools.wraps(run)
        def execute(cls: type[io.ComfyNode], *arguments: Any, **inputs: Any) -> Any:
            try:
                return run(cls, *arguments, **inputs)
            except Exception as error:
                if all(str(part).isascii() or printable(part) == str(part) for part in _chain(error)):
                    raise
                raise _printable(error).with_traceback(error.__traceback__) from None

        node.execute = classmethod(execute)  # pyright: ignore[reportAttributeAccessIssue]
        setattr(node, PRINTABLE_ERRORS, True)
    return node


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those it came from, all of which a traceback prints; each once, for a chain may be a ring."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _printable(error: Exception) -> Exception:
    kind = type(error) if isinstance(error, FileNotFoundError | ConnectionError) else OSError
    return (kind if isinstance(error, OSError) else ValueError)(printable(error))

"""Write the help pages of the preprocessor nodes, `js/docs/<NodeId>.md`, from their descriptions.

`python scripts/help_pages.py` writes them; a test fails while a page is not what this would write. What descriptions do
not hold (when to use a method, for which ControlNets, pitfalls) is in `preprocessor_notes.toml`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zeroconv.preprocessors.catalogue import preprocessors
from zeroconv.preprocessors.description import DepthKind, Parameter, Preprocessor
from zeroconv.preprocessors.weights.catalogue import Weights, weights_of
from zeroconv.storage.reading import read_toml

PAGES = Path(__file__).resolve().parents[1] / "js" / "docs"
NOTES = Path(__file__).with_name("preprocessor_notes.toml")

IMAGE = "| `image` | | The photograph or drawing, or a batch of them. Transparent parts count as white. |"
RESOLUTION = (
    "| `resolution` | 0 | Shorter side of the picture that the method sees; the aspect is kept. 0 = the image's own "
    "size. *Pixel Perfect Resolution* computes the one that fits your latent. |"
)
RESULT_SIZE = (
    "| `result_size` | processing | Size of the hint: *processing*, that at which it was made, or *input*, that of the "
    "image. |"
)
LABELS = (
    "\n\n`labels`, an IMAGE: the class of every pixel as a grey level. Saved as a picture, the levels are the class "
    "numbers."
)
POSES = (
    "\n\n`keypoints`, a POSE_KEYPOINT: the poses found, in OpenPose's format. "
    "Wire it to *Pose* to correct them by hand."
)
DEPTH = (
    "\n\n`depth`, a MASK of the hint's size: {}, as the network gives it. Not cut to 0..1. Wire it to any "
    "node that takes masks: a threshold cuts the scene at a distance."
)
DEPTH_MEANINGS: dict[DepthKind, str] = {
    "inverse": "one over the distance, near is large, in a unit of its own",
    "distance": "the distance, near is small, in a unit of its own",
    "meters": "the distance in meters",
}
SEE_IT = (
    "**See it first.** On the node, *Preview* runs it alone, *Live* runs it again after each change of a setting or "
    "of what is wired to it, and *Compare* lays the hint over the image, with a slider."
)
MASK = "| `mask` | | White (1) where the picture is masked. Any size; one for all images or one for each. |"


@dataclass(frozen=True)
class Notes:
    """One table of the notes file: texts in Markdown."""

    use: str
    controlnets: str
    notes: tuple[str, ...] = ()
    wiring: str = ""


def read_notes() -> dict[str, Notes]:
    """The notes of each method by its id."""
    tables: dict[str, dict[str, Any]] = read_toml(NOTES)
    return {name: Notes(**{**table, "notes": tuple(table.get("notes", ()))}) for name, table in tables.items()}


def help_page(method: Preprocessor, notes: Notes) -> str:
    """The whole page as Markdown."""
    wiring = notes.wiring or f"Load Image ─► {method.label} ─► ControlNet Apply: image"
    sections = [
        f"# {method.label}",
        method.description,
        f"![{method.label}](pictures/{method.node_id}.webp)",
        f"**When to use it.** {notes.use}",
        f"**Made for.** {notes.controlnets}",
        "## Inputs\n\n" + "\n".join(_inputs(method)),
        f"## Output\n\n`hint`, an IMAGE with as many pictures as `image`. {method.description}"
        f"{LABELS if method.gives_labels else ''}{POSES if method.gives_poses else ''}"
        f"{DEPTH.format(DEPTH_MEANINGS[method.depth]) if method.depth else ''}",
        SEE_IT,
        *([_weights(method)] if method.weights else []),
        f"## Example\n\n```\n{wiring}\n```",
        "## Good to know\n\n" + "\n".join(f"- {note}" for note in notes.notes),
    ]
    return "\n\n".join(sections) + "\n"


def _inputs(method: Preprocessor) -> Iterator[str]:
    yield "| input | default | meaning |"
    yield "|---|---|---|"
    yield IMAGE
    yield RESOLUTION
    yield from (_row(parameter) for parameter in method.parameters if not parameter.appended)
    if method.has_result_size:
        yield RESULT_SIZE
    if method.takes_mask:
        yield MASK
    yield from (_row(parameter) for parameter in method.parameters if parameter.appended)


def _row(parameter: Parameter) -> str:
    meaning = [parameter.tooltip]
    if parameter.choices:
        meaning.append("One of: " + ", ".join(f"*{choice}*" for choice in parameter.choices) + ".")
    elif parameter.minimum is not None and parameter.maximum is not None:
        unit = f" {parameter.unit}" if parameter.unit else ""
        meaning.append(f"{parameter.minimum:g} to {parameter.maximum:.12g}{unit}.")
    return f"| {parameter.label} (`{parameter.name}`) | {_value(parameter)} | {' '.join(meaning)} |"


def _value(parameter: Parameter) -> str:
    if isinstance(parameter.default, bool):
        return "on" if parameter.default else "off"
    return f"{parameter.default:g}" if isinstance(parameter.default, float) else str(parameter.default)


def _weights(method: Preprocessor) -> str:
    rows = [weights_of(name) for name in method.weights]
    table = ["| name | file | size | license |", "|---|---|---|---|", *map(_weights_row, rows)]
    restriction = f"\n\n**Restricted use.** {method.license.rstrip('.')}." if method.license else ""
    return (
        "## Weights\n\n"
        + "\n".join(table)
        + "\n\nNothing is fetched unasked. Press *Fetch* on the node, or put the files into "
        + "`models/preprocessors` yourself. Those of comfyui_controlnet_aux and sd-webui are found where they are."
        + restriction
    )


def _weights_row(row: Weights) -> str:
    source = f"[{row.file}]({row.url()})" if row.repo else row.file
    return f"| `{row.name}` | {source} | {row.size} | {row.license} |"


def pages() -> dict[str, str]:
    """The text of every page by its file name. Raises KeyError for a method without notes."""
    notes = read_notes()
    return {f"{method.node_id}.md": help_page(method, notes[name]) for name, method in preprocessors().items()}


def main() -> None:
    PAGES.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (PAGES / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

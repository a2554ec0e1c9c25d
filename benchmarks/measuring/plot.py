"""The summary as a picture: a bar for every side of every workload, from the plain step on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from .figures import measured, ratio
from .timing import Spread

COLORS = {
    "core": "#7a7f87",
    "Advanced-ControlNet": "#c2762b",
    "diffusers": "#8d6bb8",
    "ours": "#1f7a5c",
    "ours in bf16": "#5bb593",
}
LEFT, RIGHT, WIDTH = 270, 70, 900
BAR, GAP, TOP, BOTTOM = 14, 14, 64, 34
INK, PALE = "#22262b", "#5c6370"


def draw(workloads: Mapping[str, Any]) -> str:
    """An SVG of the ratios step / plain."""
    groups = {label: _ratios(entry) for label, entry in workloads.items()}
    groups = {label: ratios for label, ratios in groups.items() if ratios}
    present = [side for side in COLORS if any(side in ratios for ratios in groups.values())]
    height = TOP + BOTTOM + sum(BAR * len(ratios) + GAP for ratios in groups.values())
    furthest = max((spread.greatest for ratios in groups.values() for spread in ratios.values()), default=1.0)
    scale = (WIDTH - LEFT - RIGHT) / max(furthest, 1.5)
    parts = [*_frame(scale, max(furthest, 1.5), height), *_legend(present)]
    y = TOP
    for label, ratios in groups.items():
        middle = y + BAR * len(ratios) / 2
        parts.append(_text(LEFT - 12, middle - 3, label, "end"))
        parts.append(_text(LEFT - 12, middle + 12, workloads[label]["title"], "end", PALE))
        for side, spread in ratios.items():
            parts += _bar(y, scale, COLORS[side], spread)
            y += BAR
        y += GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    return "\n".join([head, "<title>Time with control by time without</title>", *parts, "</svg>"]) + "\n"


def _ratios(entry: Mapping[str, Any]) -> dict[str, Spread]:
    ratios = {name: ratio(entry, name, "plain") for name in COLORS if name in measured(entry["results"])}
    return {name: spread for name, spread in ratios.items() if spread is not None}


def _frame(scale: float, furthest: float, height: int) -> Iterator[str]:
    yield f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    yield _text(LEFT, 22, "Time with control; without control it is 1")
    for tenth in range(0, int(furthest * 10) + 1, 5):
        at, strong = LEFT + tenth / 10 * scale, tenth == 10
        color = INK if strong else "#d9dde2"
        yield f'<line x1="{at:.1f}" y1="{TOP - 6}" x2="{at:.1f}" y2="{height - BOTTOM}" stroke="{color}"/>'
        yield _text(at, height - 12, f"{tenth / 10:g}", "middle")


def _legend(sides: Sequence[str]) -> Iterator[str]:
    x = LEFT
    for side in sides:
        yield f'<rect x="{x}" y="36" width="12" height="12" rx="2" fill="{COLORS[side]}"/>'
        yield _text(x + 18, 47, side)
        x += 40 + 8 * len(side)


def _bar(y: float, scale: float, color: str, spread: Spread) -> Iterator[str]:
    least, middle, greatest = (LEFT + value * scale for value in (spread.least, spread.median, spread.greatest))
    yield f'<rect x="{LEFT}" y="{y}" width="{middle - LEFT:.1f}" height="{BAR - 2}" rx="2" fill="{color}"/>'
    line = y + BAR / 2 - 1
    yield f'<line x1="{least:.1f}" y1="{line}" x2="{greatest:.1f}" y2="{line}" stroke="{INK}" stroke-width="1.5"/>'
    yield _text(greatest + 6, y + BAR - 3, f"{spread.median:.2f}")


def _text(x: float, y: float, text: str, anchor: str = "start", color: str = INK) -> str:
    style = f'font-family="system-ui, sans-serif" font-size="{13 if color == INK else 11}" fill="{color}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {style}>{escape(text)}</text>'

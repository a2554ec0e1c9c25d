"""A touch screen and a pen, as the browser gets them from the machine."""

from dataclasses import dataclass
from typing import Any

from playwright.sync_api import CDPSession

GRAPH_VIEW = "() => [app.canvas.ds.scale, ...app.canvas.ds.offset]"
"""What fingers on an editor must not change."""

Point = tuple[float, float]


@dataclass
class Devices:
    """Both, of one page."""

    session: CDPSession

    def touch(self, kind: str, *fingers: Point) -> None:
        """All fingers that are on the screen: touchStart, touchMove or touchEnd."""
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(fingers)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def pen(self, kind: str, place: Point) -> None:
        """mousePressed, mouseMoved or mouseReleased, by a pen."""
        details: dict[str, Any] = {"x": place[0], "y": place[1], "pointerType": "pen", "force": 0.5}
        pressed = {"button": "left", "buttons": 1, "clickCount": 1}
        self.session.send("Input.dispatchMouseEvent", {"type": kind, **details, **pressed})


def moved(place: Point, dx: float, dy: float) -> Point:
    return place[0] + dx, place[1] + dy

"""Start ComfyUI with this pack and the small model that ships, and make pictures or leave the server running.

python -m zeroconv.demo.run            a contact sheet: hints, no control, strength 0.5 and 1, two ControlNets chained
python -m zeroconv.demo.run --serve    leave the server running, for a browser
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from PIL import Image, ImageDraw

from ..comfy_client.server import REPOSITORY, ComfyServer
from .checkpoint import write_models
from .photo import photo
from .pictures import Pictures, demo_graph, saved_graph, write_inputs
from .templates import PROMPTS, stand_in, write_copies

BASE = REPOSITORY / ".cache" / "demo-server"
SHEET = BASE / "output" / "contact-sheet.png"
EXAMPLE = "example.png"
TILE = 256
CAPTION = 22


def prepare(base: Path) -> ComfyServer:
    """A server with the small model, also under the names that the workflows use, and pictures to begin with."""
    server = ComfyServer(base)
    photo().save(server.base / "input" / EXAMPLE)
    write_inputs(server.base / "input")
    models = server.base / "models"
    write_models(models)
    for workflow in (REPOSITORY / "workflows").glob("*.json"):
        for node in json.loads(workflow.read_text(encoding="utf-8"))["nodes"]:
            for model in node["properties"].get("models", ()):
                place = models / model["directory"] / model["name"]
                place.unlink(missing_ok=True)
                place.symlink_to(models / model["directory"] / stand_in(model["directory"], model["name"]))
    return server


def contact_sheet(pictures: Pictures) -> Image.Image:
    """Rows of (caption, picture file), each picture a tile with its caption below."""
    columns = max(len(row) for row in pictures)
    sheet = Image.new("RGB", (columns * TILE, len(pictures) * (TILE + CAPTION)), "#181818")
    draw = ImageDraw.Draw(sheet)
    for y, row in enumerate(pictures):
        for x, (caption, file) in enumerate(row):
            corner = (x * TILE, y * (TILE + CAPTION))
            with Image.open(file) as picture:
                sheet.paste(picture.convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS), corner)
            draw.text((corner[0] + 8, corner[1] + TILE + 4), caption, fill="#e8e8e8")
    return sheet


def run_once() -> None:
    """Run the graph and print where its pictures are."""
    graph = demo_graph()
    with prepare(BASE) as server:
        result = server.queue(graph.workflow.to_api())
        rows = [[(caption, result.files(node)[0]) for caption, node in row] for row in graph.saved]
        rows.append([(f"workflows/{name}.json", run_saved(server, name)) for name in PROMPTS])
    contact_sheet(rows).save(SHEET)
    for row in rows:
        for caption, file in row:
            print(f"{caption:30} {file}")
    print(f"{'contact sheet':30} {SHEET}")


def run_saved(server: ComfyServer, name: str) -> Path:
    """Run a workflow of the pack and return its picture."""
    graph, node = saved_graph(REPOSITORY / "workflows" / f"{name}.json", server.object_info())
    return server.queue(graph).files(node)[0]


def serve(port: int) -> None:
    """Leave a server running until it is interrupted."""
    server = prepare(BASE)
    server.port, server.url = port, f"http://127.0.0.1:{port}"
    write_copies(BASE / "user" / "default" / "workflows")
    with server:
        print(f"ComfyUI with ZeroConv: {server.url}   (workflows: press W; stop: Ctrl+C)", flush=True)
        try:
            server.wait()
        except KeyboardInterrupt:
            print("stopped")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--serve", action="store_true", help="leave the server running")
    parser.add_argument("--port", type=int, default=8188, help="port of --serve (8188)")
    options = parser.parse_args()
    if options.serve:
        serve(options.port)
    else:
        run_once()


if __name__ == "__main__":
    main()

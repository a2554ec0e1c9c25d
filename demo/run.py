"""Start ComfyUI with this pack and a small model, and make a controlled image or leave the server running.

python demo/run.py            run the graph of workflows/canny.json once, print where the images are
python demo/run.py --serve    leave the server running, for a browser
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))

from support.checkpoints import SD15_SMALL, cached  # noqa: E402
from support.photo import photo  # noqa: E402
from support.server import ComfyServer, Result  # noqa: E402
from support.workflow import Prompts, Sampling, Workflow  # noqa: E402

BASE = REPOSITORY / ".cache" / "demo-server"
PHOTO = "example.png"
PIXELS = 256


def widgets(node_type: str) -> dict[str, Any]:
    """Widget values of the node of a type in workflows/canny.json, by name."""
    graph = json.loads((REPOSITORY / "workflows" / "canny.json").read_text(encoding="utf-8"))
    (node,) = [node for node in graph["nodes"] if node["type"] == node_type]
    names = [entry["name"] for entry in node["inputs"] if "widget" in entry]
    return dict(zip(names, node["widgets_values"], strict=False))


def prepare(base: Path) -> ComfyServer:
    """A server whose model folders hold the files that the workflow names, and a photograph."""
    server = ComfyServer(base)
    photo().save(server.base / "input" / PHOTO)
    for folder, name, recipe, seed in (
        ("checkpoints", widgets("CheckpointLoaderSimple")["ckpt_name"], "checkpoint", 30),
        ("controlnet", widgets("ZeroConvLoad")["control_net"], "controlnet", 21),
    ):
        place = server.base / "models" / folder / name
        place.unlink(missing_ok=True)
        place.symlink_to(cached(f"sd15-{recipe}", recipe, SD15_SMALL, seed))
    return server


def canny_graph() -> tuple[dict[str, Any], str, str]:
    """The graph of workflows/canny.json at a size for a CPU, its node of the hint and that of the image."""
    workflow = Workflow()
    checkpoint = workflow.load_checkpoint(widgets("CheckpointLoaderSimple")["ckpt_name"])
    prompts = Prompts(
        workflow.encode_prompt(checkpoint.clip, "a watercolor painting, soft light, fine paper texture"),
        workflow.encode_prompt(checkpoint.clip, "blurry, low quality, watermark"),
    )
    hint = workflow.canny(workflow.load_image(PHOTO), resolution=PIXELS)
    net = workflow.load_control(widgets("ZeroConvLoad")["control_net"])
    latent = workflow.empty_latent(PIXELS, PIXELS)
    sampling = Sampling(steps=8, sampler="dpmpp_2m", scheduler="karras")
    sampled = workflow.sample(checkpoint.model, workflow.apply(prompts, net, hint), latent, sampling)
    saved_hint = workflow.save_image(hint)
    saved_image = workflow.save_image(workflow.decode(checkpoint.vae, sampled))
    return workflow.to_api(), saved_hint, saved_image


def run_once() -> None:
    """Run the graph and print where its images are."""
    with prepare(BASE) as server:
        graph, hint, image = canny_graph()
        result: Result = server.queue(graph)
    print(f"photo  {BASE / 'input' / PHOTO}")
    print(f"hint   {result.files(hint)[0]}")
    print(f"image  {result.files(image)[0]}")


def serve(port: int) -> None:
    """Leave a server running until it is interrupted."""
    server = prepare(BASE)
    server.port, server.url = port, f"http://127.0.0.1:{port}"
    shutil.copytree(REPOSITORY / "workflows", BASE / "user" / "default" / "workflows", dirs_exist_ok=True)
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

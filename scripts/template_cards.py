"""Draw the cards of the templates, `workflows/<title>.jpg`: what comes out, and in a corner what goes in.

`python scripts/template_cards.py [FOLDER_OF_WEIGHTS]` starts the demo's server. Pictures are made with the small model
of the demo, which knows edges, scribbles and depth; the other cards show a photo and its hint, and each says so. A card
whose weights are not in the folder stays as it is.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from hint_workflows import TEMPLATES, WORKFLOWS
from PIL import Image, ImageDraw, ImageFont
from skimage import data
from torch import Tensor
from torch.nn.functional import interpolate
from zeroconv.comfy_client.server import ComfyServer
from zeroconv.comfy_client.workflow import Control, Prompts, Workflow
from zeroconv.demo.checkpoint import CHECKPOINT_NAME, control_name
from zeroconv.demo.pictures import LEFT_SCENE, PHOTO_SCENE, RIGHT_SCENE
from zeroconv.demo.run import prepare
from zeroconv.demo.scenes import hints
from zeroconv.demo.scenes.render import render
from zeroconv.demo.scenes.world import draw_scenes
from zeroconv.demo.templates import SAMPLING, SCRIBBLE, SIDE
from zeroconv.preprocessors.catalogue import preprocessors
from zeroconv.preprocessors.running import Options, preprocess
from zeroconv.preprocessors.weights.catalogue import find, weights_of
from zeroconv.preprocessors.weights.local_networks import LocalNetworks

CARD, INSET, MARGIN, STRIP = 512, 150, 10, 36
BY_DEMO, BY_HAND = "by the small demo model", "photo and hint"
PHOTOS = {"04 Soft Edges": "astronaut", "05 Pose": "astronaut", "08 Straight Lines": "brick"}
METHODS = {"09 Line Drawing": "lineart_standard"}
"""Where the template's own method needs weights that cannot be had: what draws its card."""


def tile(picture: Tensor, side: int) -> Image.Image:
    """A square picture, (1, H, W, 3) in 0..1, at a size."""
    pixels = picture[0, ..., :3].mul(255).round().byte().numpy()
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)


def card(after: Tensor, before: list[Tensor], caption: str) -> Image.Image:
    """A card: the result large, one or two pictures that it came from in the left corner, and a line below."""
    sheet = tile(after, CARD)
    draw = ImageDraw.Draw(sheet)
    top = CARD - STRIP - INSET - MARGIN
    for place, picture in enumerate(before):
        left = MARGIN + place * (INSET + MARGIN)
        draw.rectangle((left - 3, top - 3, left + INSET + 2, top + INSET + 2), fill="white")
        sheet.paste(tile(picture, INSET), (left, top))
    draw.rectangle((0, CARD - STRIP, CARD, CARD), fill="#202020")
    draw.text((MARGIN, CARD - STRIP / 2), caption, fill="white", anchor="lm", font=ImageFont.load_default(22))
    return sheet


def channels_last(picture: Tensor) -> Tensor:
    return picture.movedim(1, -1)


def photo(name: str) -> Tensor:
    """The middle square of a photograph of scikit-image, in the public domain."""
    picture = getattr(data, name)()
    picture = np.stack([picture] * 3, axis=-1) if picture.ndim == 2 else picture
    side = min(picture.shape[:2])
    left = (picture.shape[1] - side) // 2
    return torch.from_numpy(picture[:side, left : left + side].copy()).float()[None] / 255


def hint_card(title: str, weights: Path | None) -> Image.Image | None:
    """Photo and hint; None where the weights are not there."""
    method = preprocessors()[METHODS.get(title, TEMPLATES[title].method)]
    folders = [weights] if weights else []
    if not all(find(weights_of(row), folders) for row in method.weights):
        return None
    picture = photo(PHOTOS.get(title, "coffee"))
    hint = preprocess(method, picture, LocalNetworks(folders), options=Options(CARD)).image
    return card(hint, [picture], f"{BY_HAND}: {method.label}" if title in METHODS else BY_HAND)


def scene_cards() -> dict[str, Image.Image]:
    """Normals and classes of a drawn scene, whose networks' weights cannot be had."""
    rendering = render(draw_scenes(355, seed=5, pair_share=1.0)[354:], CARD)
    colors = torch.tensor([[80, 50, 50], [255, 0, 163], [0, 41, 255]]).float() / 255
    picture = channels_last(rendering.image)
    normals = channels_last(hints.normals(rendering))
    return {
        "10 Surface Normals": card(normals, [picture], "a drawn scene and its normals"),
        "11 Segmentation": card(colors[rendering.label], [picture], "a drawn scene and its classes"),
    }


def folder_card() -> Image.Image:
    """Four photos and their hints."""
    photos = [channels_first(photo(name)) for name in ("coffee", "astronaut", "chelsea", "rocket")]
    photos = [interpolate(each, (CARD // 2, CARD // 2), mode="area") for each in photos]
    edged = [
        channels_first(preprocess(preprocessors()["canny"], channels_last(each), LocalNetworks([])).image)
        for each in photos
    ]
    before, after = (torch.cat([torch.cat(four[:2], 3), torch.cat(four[2:], 3)], 2) for four in (photos, edged))
    return card(channels_last(after), [channels_last(before)], "a folder of photos and its hints")


def channels_first(picture: Tensor) -> Tensor:
    return picture.movedim(-1, 1)


def drawn(server: ComfyServer, prompt: str, controls: list[tuple[str, Tensor, Control]]) -> Tensor:
    """A picture of the small model, (1, S, S, 3), under ControlNets given by kind and hint, (1, 3, S, S)."""
    workflow = Workflow()
    loaded = workflow.load_checkpoint(CHECKPOINT_NAME)
    prompts = Prompts(workflow.encode_prompt(loaded.clip, prompt), workflow.encode_prompt(loaded.clip, ""))
    for place, (kind, hint, control) in enumerate(controls):
        name = f"card-{place}.png"
        tile(channels_last(hint), SIDE).save(server.base / "input" / name)
        prompts = workflow.apply(prompts, workflow.load_control(control_name(kind)), workflow.load_image(name), control)
    latent = workflow.empty_latent(SIDE, SIDE)
    node = workflow.save_image(workflow.decode(loaded.vae, workflow.sample(loaded.model, prompts, latent, SAMPLING)))
    (file,) = server.queue(workflow.to_api()).files(node)
    return torch.from_numpy(np.array(Image.open(file).convert("RGB"))).float()[None] / 255


def demo_cards(server: ComfyServer) -> dict[str, Image.Image]:
    """The cards whose pictures the small model draws."""
    cone, ball, right = render(PHOTO_SCENE), render(LEFT_SCENE), render(RIGHT_SCENE)
    edges, scribble, depth = hints.edges(cone), hints.scribble(cone), hints.depth(cone)
    whole = Control(1.0)
    both = [("canny", hints.edges(ball), whole), ("scribble", hints.scribble(right), whole)]
    results = {
        "01 Edges (Canny)": ("a purple cone on a white floor", [("canny", edges, whole)], [cone.image, edges]),
        SCRIBBLE: ("a red cone on a white floor", [("scribble", scribble, whole)], [scribble]),
        "06 Depth": ("a yellow cone on a white floor", [("depth", depth, whole)], [cone.image, depth]),
        "07 Two ControlNets": ("a red ball and a blue cone on a grey floor", both, [hint for _, hint, _ in both]),
        "13 Train Your Own": ("a blue cone on a brown floor", [("canny", edges, whole)], [edges]),
    }
    return {
        title: card(drawn(server, prompt, controls), [channels_last(each) for each in before], BY_DEMO)
        for title, (prompt, controls, before) in results.items()
    }


def main() -> None:
    """Draw the cards that can be drawn."""
    weights = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as base, prepare(Path(base)) as server:
        cards: dict[str, Image.Image | None] = {**demo_cards(server)}
    hinted = TEMPLATES.keys() - cards.keys() - scene_cards().keys()
    cards |= {**scene_cards(), "12 Hints of a Folder": folder_card()}
    cards |= {title: hint_card(title, weights) for title in hinted}
    for title, picture in cards.items():
        if picture is not None:
            picture.save(WORKFLOWS / f"{title}.jpg", quality=85, optimize=True)


if __name__ == "__main__":
    main()

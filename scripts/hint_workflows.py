"""Write the workflows that differ only in the hint, `workflows/<title>.json`, from that of Canny.

`python scripts/hint_workflows.py` writes them; a test fails while a file is not what this would write.
"""

from __future__ import annotations

import copy
import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zeroconv.preprocessors.catalogue import preprocessors
from zeroconv.preprocessors.description import Parameter, Preprocessor

WORKFLOWS = Path(__file__).resolve().parents[1] / "workflows"
BASE, FOLDER = "01 Edges (Canny)", "12 Hints of a Folder"
"""Templates are shown by the names of their files, as titles; the numbers keep them in an order that teaches."""
HUB = "https://huggingface.co/comfyanonymous/ControlNet-v1-1_fp16_safetensors/resolve/main"
PACK = {"cnr_id": "zeroconv-controlnet", "ver": "0.1.0"}
CANNY = 6
"""Place of the preprocessor, counted from 1, and of the others that change."""
POSITIVE, NOTE, LOAD_IMAGE, LOADER, SAVE = 2, 4, 5, 7, 12
FOLDER_NOTE = (
    "**Hints of a whole folder.** First put your photos into a folder of ComfyUI's input folder, reload the page, and "
    "choose it in *Folder*. The hints go to output/hints.\n\nAny other preprocessor can take the place of Canny.\n"
)


@dataclass(frozen=True)
class Template:
    """One workflow.

    method: id of the preprocessor. control_net: file on the hub. prompt: what the example paints. note: what the hint
    does, for the note on the canvas. advice: what to look at in the hint.
    """

    method: str
    control_net: str
    prompt: str
    note: str
    advice: str


TEMPLATES = {
    "08 Straight Lines": Template(
        "lines_lsd",
        "control_v11p_sd15_mlsd_fp16.safetensors",
        "a modern concrete building at dusk, clean architecture",
        "**Straight lines steer the picture.** Rooms, houses and streets keep their shape; what is round is free.",
        "Too many short lines: raise *Minimum length*. *M-LSD Straight Lines* finds cleaner ones; it needs weights.",
    ),
    "03 Scribble of a Photo": Template(
        "scribble_hed",
        "control_v11p_sd15_scribble_fp16.safetensors",
        "an oil painting, bold brush strokes, rich colors",
        "**A scribble of your photo steers the picture.** Only the main contours are kept, as if drawn by hand.",
        "Strokes are one width, whatever the photo. To draw the scribble yourself open *02 Draw It (Scribble)*.",
    ),
    "04 Soft Edges": Template(
        "hed",
        "control_v11p_sd15_softedge_fp16.safetensors",
        "a marble statue in a museum, soft daylight",
        "**Soft edges steer the picture.** Grey contours say where a line is sure; less strict than Canny.",
        "Turn *Safe* on when the picture repeats textures of the photo.",
    ),
    "05 Pose": Template(
        "mediapipe_pose",
        "control_v11p_sd15_openpose_fp16.safetensors",
        "a knight in shining armour in front of a castle, fantasy illustration",
        "**A pose steers the picture.** The people stand as in your photo; everything else is the prompt's.",
        "The weights are free for any use. *OpenPose* and *DWPose* find several people better; mind their licenses.",
    ),
    "11 Segmentation": Template(
        "uniformer_segmentation",
        "control_v11p_sd15_seg_fp16.safetensors",
        "an autumn landscape, golden light, impressionist painting",
        "**A map of classes steers the picture.** Sky stays sky and floor stays floor; shapes within are free.",
        "The colors are names, never smooth them. *OneFormer* draws finer borders.",
    ),
    "06 Depth": Template(
        "depth_anything_v2",
        "control_v11f1p_sd15_depth_fp16.safetensors",
        "a miniature made of clay, studio light, shallow focus",
        "**Depth steers the picture.** What is near stays near; surfaces and colors are free.",
        "White is near. The small model is free for any use.",
    ),
    "10 Surface Normals": Template(
        "normal_bae",
        "control_v11p_sd15_normalbae_fp16.safetensors",
        "a bronze sculpture, dramatic side light",
        "**Surface normals steer the picture.** Each color says which way a surface faces: relief is kept exactly.",
        "Use *Normals from Depth* where you have a depth image already.",
    ),
    "09 Line Drawing": Template(
        "lineart_anime",
        "control_v11p_sd15s2_lineart_anime_fp16.safetensors",
        "anime illustration, clean lines, flat pastel colors",
        "**A line drawing steers the picture.** The lines of a cartoon are kept and colored anew.",
        "For photographs *Line Art, Realistic* fits better. *Line Art, Standard* needs no weights.",
    ),
}


def workflow(name: str, template: Template) -> dict[str, Any]:
    """The workflow as ComfyUI saves it."""
    method = preprocessors()[template.method]
    graph: dict[str, Any] = copy.deepcopy(json.loads((WORKFLOWS / f"{BASE}.json").read_text(encoding="utf-8")))
    graph["id"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"zeroconv/{name}"))
    nodes = {node["id"]: node for node in graph["nodes"]}
    _become(nodes[CANNY], method)
    nodes[POSITIVE]["widgets_values"] = [template.prompt]
    nodes[NOTE]["widgets_values"] = [_note(template, method)]
    nodes[LOADER]["widgets_values"] = [template.control_net]
    file = {"name": template.control_net, "url": f"{HUB}/{template.control_net}", "directory": "controlnet"}
    nodes[LOADER]["properties"]["models"] = [file]
    return graph


def _become(node: dict[str, Any], method: Preprocessor) -> None:
    """Make the Canny node the node of another method, with its default settings; the wires stay."""
    kind = "ZeroConv" + "".join(word.capitalize() for word in method.id.split("_"))
    widgets = [("resolution", "INT"), *((p.name, _kind(p)) for p in method.parameters), ("result_size", "COMBO")]
    node["type"] = kind
    node["properties"] = {"Node name for S&R": kind, **PACK}
    node["inputs"] = [node["inputs"][0]] + [
        {"name": name, "type": type_name, "widget": {"name": name}, "link": None} for name, type_name in widgets
    ]
    node["outputs"] = [{**node["outputs"][0], "name": "Hint"}]
    if method.gives_labels:
        node["outputs"].append({"name": "Labels", "type": "IMAGE", "links": None})
    if method.gives_poses:
        node["outputs"].append({"name": "Keypoints", "type": "POSE_KEYPOINT", "links": None})
    node["widgets_values"] = [512, *(parameter.default for parameter in method.parameters), "processing"]


def _kind(parameter: Parameter) -> str:
    kinds = {bool: "BOOLEAN", int: "INT", float: "FLOAT", str: "COMBO" if parameter.choices else "STRING"}
    return kinds[type(parameter.default)]


def _note(template: Template, method: Preprocessor) -> str:
    fetch = f"Press *Fetch* on *{method.label}* once. " if method.weights else ""
    return (
        f"{template.note}\n\n1. Choose a photo in *Load Image*.\n2. {fetch}{template.advice}\n"
        "3. Run. Too strict? Lower *Strength* or *End percent*.\n\n"
        "Missing models: download them from the list that opens with this workflow, then press R.\n"
    )


def folder_workflow() -> dict[str, Any]:
    """Hints of all images of a folder: photo, preprocessor and saving node of the Canny workflow, rewired."""
    graph: dict[str, Any] = copy.deepcopy(json.loads((WORKFLOWS / f"{BASE}.json").read_text(encoding="utf-8")))
    nodes = {node["id"]: node for node in graph["nodes"]}
    load, hint, save, note = (nodes[number] for number in (LOAD_IMAGE, CANNY, SAVE, NOTE))
    load["type"] = "LoadImageDataSetFromFolder"
    load["properties"] = {**load["properties"], "Node name for S&R": load["type"]}
    load["inputs"] = [{"name": "folder", "type": "COMBO", "widget": {"name": "folder"}, "link": None}]
    load["outputs"] = [{"name": "images", "type": "IMAGE", "shape": 6, "links": [1]}]
    load["widgets_values"] = ["photos"]
    hint["inputs"][0]["link"], hint["outputs"][0]["links"] = 1, [2]
    save["inputs"][0]["link"], save["widgets_values"] = 2, ["hints/hint"]
    places = ((load, [0, 0], [360, 110]), (note, [0, 170], [360, 350]), (hint, [390, 0], [360, 520]))
    for order, (node, position, size) in enumerate((*places, (save, [780, 0], [540, 520]))):
        node.update(pos=position, size=size, order=order)
    note["widgets_values"] = [FOLDER_NOTE]
    graph.update(
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, "zeroconv/preprocess-folder")),
        nodes=[load, note, hint, save],
        links=[[1, LOAD_IMAGE, 0, CANNY, 0, "IMAGE"], [2, CANNY, 0, SAVE, 0, "IMAGE"]],
        last_link_id=2,
        groups=[],
    )
    return graph


def written() -> dict[Path, str]:
    """The text of every file."""
    texts = {name: json.dumps(workflow(name, template), indent=2) for name, template in TEMPLATES.items()}
    texts[FOLDER] = json.dumps(folder_workflow(), indent=2)
    return {WORKFLOWS / f"{name}.json": f"{text}\n" for name, text in texts.items()}


def main() -> None:
    """Write the workflows."""
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""The workflows as the demo serves them: the small model's own where it knows the hint, else with a word first."""

import json
from pathlib import Path

from zeroconv.comfy_client.server import REPOSITORY
from zeroconv.demo.checkpoint import CHECKPOINT_NAME
from zeroconv.demo.templates import PROMPTS, SIDE, WITHOUT_A_HINT, write_copies

ORIGINALS = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (REPOSITORY / "workflows").glob("*.json")
}


def test_every_workflow_is_served_for_the_small_model_or_says_first_that_it_is_not(tmp_path: Path) -> None:
    write_copies(tmp_path)
    copies = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.glob("*.json")}
    assert copies.keys() == ORIGINALS.keys()
    for name, workflow in copies.items():
        values = {node["type"]: node["widgets_values"] for node in workflow["nodes"]}
        if name in PROMPTS:
            assert values["CheckpointLoaderSimple"] == [CHECKPOINT_NAME]
            assert values["EmptyLatentImage"] == [SIDE, SIDE, 1]
            assert "zeroconv-demo-" in values["ZeroConvLoad"][0]
            assert not any("models" in node["properties"] for node in workflow["nodes"]), "nothing is to be downloaded"
        elif name in WITHOUT_A_HINT:
            assert workflow == ORIGINALS[name], "any model runs them as they are"
        else:
            assert values["MarkdownNote"][0].startswith("**The small model of this demo does not know")
        assert workflow["links"] == ORIGINALS[name]["links"]


def test_templates_with_a_model_name_files_that_can_be_downloaded() -> None:
    for name, workflow in ORIGINALS.items():
        for node in workflow["nodes"]:
            if node["type"] in ("CheckpointLoaderSimple", "ZeroConvLoad"):
                files = [model["name"] for model in node["properties"]["models"]]
                assert files == node["widgets_values"], name

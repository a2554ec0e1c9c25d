"""What people read: every node has a help page, every input a tooltip, every language every name.

UPDATE_WORDS=1 writes the English names and tooltips of locales/ from the nodes, where they are written.
"""

import json
import os
import re
from typing import Any

import pytest
from zeroconv.comfy_client.server import REPOSITORY, ComfyServer

LOCALES = REPOSITORY / "locales"
TRANSLATIONS = ("zh", "ja", "ko")
PAGES = REPOSITORY / "js" / "docs"
SYNTAX = re.compile(r"[{}|@]")
"""The front end reads these as commands of its message format."""

SCRIPTS = {
    "zh": re.compile("[\u4e00-\u9fff]"),
    "ja": re.compile("[\u3040-\u30ff]"),
    "ko": re.compile("[\uac00-\ud7af]"),
}
"""Letters that only a translation has."""

LABEL = re.compile(
    r"([A-Z][a-z]*|VAE|CLIP|EMA|SNR|LoRA|ControlNet)( ([a-z]+|[0-9]+|VAE|CLIP|EMA|SNR|LoRA|ControlNet))*"
)
"""Sentence case: the first letter is upper case, the others are lower case but in names."""

Definitions = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def nodes(server: ComfyServer) -> dict[str, dict[str, Any]]:
    """Our nodes, as the server describes them to the front end."""
    return {name: node for name, node in server.object_info().items() if name.startswith("ZeroConv")}


@pytest.fixture(scope="module")
def written(nodes: dict[str, dict[str, Any]]) -> Definitions:
    """What nodeDefs.json should hold in English."""
    return {name: _definition(node) for name, node in nodes.items()}


def _inputs(node: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Options of every input by its name."""
    groups = (node["input"].get("required", {}), node["input"].get("optional", {}))
    return {name: spec[1] if len(spec) > 1 else {} for group in groups for name, spec in group.items()}


def _definition(node: dict[str, Any]) -> dict[str, Any]:
    inputs = {
        name: {"name": options.get("display_name") or name, "tooltip": options.get("tooltip")}
        for name, options in _inputs(node).items()
    }
    outputs = {
        str(index): {"name": name, "tooltip": tooltip}
        for index, (name, tooltip) in enumerate(zip(node["output_name"], node["output_tooltips"], strict=True))
    }
    return {
        "display_name": node["display_name"],
        "description": node["description"],
        "inputs": inputs,
        "outputs": outputs,
    }


def _read(language: str) -> Definitions:
    return json.loads((LOCALES / language / "nodeDefs.json").read_text(encoding="utf-8"))


def _keys(definition: dict[str, Any]) -> set[tuple[str, ...]]:
    """Paths to all texts of a node."""
    texts: set[tuple[str, ...]] = {("display_name",), ("description",)}
    for part in ("inputs", "outputs"):
        texts |= {(part, name, key) for name, entry in definition[part].items() for key in entry}
    return texts


def _text(definition: dict[str, Any], path: tuple[str, ...]) -> str:
    found: Any = definition
    for key in path:
        found = found[key]
    return found


def test_every_input_and_output_has_a_tooltip(written: Definitions) -> None:
    silent = [
        f"{node}: {path[1]}"
        for node, definition in written.items()
        for path in _keys(definition)
        if path[-1] == "tooltip" and not _text(definition, path)
    ]
    assert not silent
    assert all(definition["description"] for definition in written.values())


def test_labels_are_in_sentence_case(written: Definitions) -> None:
    labels = {
        entry["name"]
        for definition in written.values()
        for part in ("inputs", "outputs")
        for entry in definition[part].values()
    }
    assert not [label for label in labels if not LABEL.fullmatch(label)]


def test_every_node_has_a_help_page_that_names_its_inputs(nodes: dict[str, dict[str, Any]]) -> None:
    unexplained = []
    for name, node in nodes.items():
        page = PAGES / f"{name}.md"
        if not page.is_file():
            unexplained.append(name)
            continue
        words = set(re.findall(r"\w+", page.read_text(encoding="utf-8")))
        unexplained += [f"{name}: {entry}" for entry in _inputs(node) if entry not in words]
    assert not unexplained


def test_readme_names_every_node(nodes: dict[str, dict[str, Any]]) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert not [node["display_name"] for node in nodes.values() if node["display_name"] not in readme]


def test_pictures_of_help_pages_exist() -> None:
    for page in PAGES.glob("*.md"):
        for picture in re.findall(r"!\[[^]]*\]\(([^):]+)\)", page.read_text(encoding="utf-8")):
            assert (PAGES / picture).is_file(), f"{page.name}: {picture}"


def test_english_is_what_the_nodes_say(written: Definitions) -> None:
    """The nodes are the source of the English texts."""
    if os.environ.get("UPDATE_WORDS"):
        file = LOCALES / "en" / "nodeDefs.json"
        text = json.dumps({**_read("en"), **written}, ensure_ascii=False, indent=2)
        file.write_text(text + "\n", encoding="utf-8")
    english = _read("en")
    stale = [name for name, definition in written.items() if english.get(name) != definition]
    assert not stale


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_every_text_is_translated(written: Definitions, language: str) -> None:
    translated = _read(language)
    letters = SCRIPTS[language]
    missing = []
    for name, definition in written.items():
        own = translated.get(name, {"inputs": {}, "outputs": {}})
        missing += [f"{name}: {'.'.join(path)}" for path in _keys(definition) - _keys(own)]
        sentences = [path for path in _keys(own) if path[-1] in ("description", "tooltip") and name in translated]
        missing += [f"{name}: {'.'.join(path)}" for path in sentences if not letters.search(_text(own, path))]
    assert not missing


def test_server_gives_the_translations_to_the_front_end(server: ComfyServer) -> None:
    served = server.get("/i18n")
    for language in ("en", *TRANSLATIONS):
        own = _read(language)
        assert {name: served[language]["nodeDefs"].get(name) for name in own} == own


@pytest.mark.parametrize("language", ["en", *TRANSLATIONS])
def test_texts_hold_no_message_syntax(language: str) -> None:
    for name, definition in _read(language).items():
        for path in _keys(definition):
            assert not SYNTAX.search(_text(definition, path)), f"{name}: {'.'.join(path)}"

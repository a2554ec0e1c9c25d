"""Stand-ins for nodes of other packs: their rows, when they are registered, and what a saved prompt may leave out."""

import asyncio

import pytest
import torch
from support.comfy_host import import_host

import_host()

from comfy_api.latest import io
from zeroconv.host import packs
from zeroconv.nodes.compat import offer_replacements, widget_defaults
from zeroconv.nodes.control import apply, load
from zeroconv.nodes.preprocess import methods as preprocess
from zeroconv.nodes.stand_ins import STAND_INS, controlnet_aux, framing, registering
from zeroconv.nodes.stand_ins.calling import METHODS
from zeroconv.nodes.stand_ins.node import node_of
from zeroconv.nodes.stand_ins.replacing import complete_missing, mappings
from zeroconv.preprocessors.description import Hint
from zeroconv.preprocessors.pose.keypoints import PoseFrame

import nodes

OURS = {node.define_schema().node_id: node for topic in (apply, load, preprocess) for node in topic.NODES}
ROWS = {row.id: row for row in STAND_INS}
REPLACED = {name: row.replacement for name, row in ROWS.items() if row.replacement is not None}
PREPROCESSORS = {row.id: row for row in controlnet_aux.PREPROCESSORS}
PICTURE = torch.rand(2, 72, 104, 3, generator=torch.Generator().manual_seed(0))
MASK = (PICTURE[..., 0] > 0.7).float()


def choices_of(item):
    return item.choices or tuple(item.listing() if item.listing else ())


def usual(row):
    """A prompt's values for a row, as the front end writes them: all widgets, and the sockets that must be wired."""
    sockets = {"IMAGE": PICTURE, "MASK": MASK}
    return {
        item.id: item.default if item.is_widget else sockets.get(item.type)
        for item in row.inputs
        if item.is_widget or not item.optional
    }


def without(row):
    """The same values without each optional input alone, and without all together."""
    values = usual(row)
    optional = [item.id for item in row.inputs if item.optional and item.id in values]
    left_out = [(name,) for name in optional] + [tuple(optional)]
    return [{name: value for name, value in values.items() if name not in gone} for gone in left_out]


def test_every_id_has_one_row():
    assert len(ROWS) == len(STAND_INS) >= 70


@pytest.mark.parametrize("name", ROWS)
def test_the_schema_is_the_row(name):
    row, schema = ROWS[name], node_of(ROWS[name]).GET_SCHEMA()
    assert all(isinstance(item.id, str) for item in row.inputs)
    assert schema.node_id == name
    assert schema.is_deprecated
    assert [item.id for item in schema.inputs] == [item.id for item in row.inputs]
    assert [item.optional for item in schema.inputs] == [item.optional for item in row.inputs]
    assert [(out.io_type, out.display_name) for out in schema.outputs] == list(row.outputs)
    for item in row.inputs:
        if item.type == "COMBO" and item.choices:
            assert item.default in item.choices
        if item.minimum is not None and item.maximum is not None and item.default is not None:
            assert item.minimum <= item.default <= item.maximum


@pytest.fixture
def asked(monkeypatch):
    """Every call of a preprocessor by a stand-in, checked as a run would check it."""
    calls = []

    def run(method, image, settings, options):
        calls.append((method.id, method.settings(settings), min(image.shape[1:3])))
        return Hint(torch.zeros_like(image), poses=[PoseFrame(8, 8)] if method.gives_poses else None)

    monkeypatch.setattr(controlnet_aux, "run_preprocessor", run)
    monkeypatch.setattr(framing, "run_preprocessor", run)
    return calls


@pytest.mark.parametrize("name", PREPROCESSORS)
def test_an_absent_input_takes_the_packs_default(name, asked):
    row = ROWS[name]
    node = node_of(row)
    node.execute(**usual(row))
    for values in without(row):
        node.execute(**values)
    settings = [call[:2] for call in asked]
    assert all(each == settings[0] for each in settings)


@pytest.mark.parametrize("name", PREPROCESSORS)
def test_every_choice_has_a_meaning(name, asked):
    row = ROWS[name]
    for item in row.inputs:
        for option in choices_of(item):
            node_of(row).execute(**{**usual(row), item.id: option})
        for bound in (item.minimum, item.maximum):
            if bound is not None and item.id != "resolution":
                node_of(row).execute(**{**usual(row), item.id: bound})


def test_words_become_switches(asked):
    values = {"image": PICTURE, "detect_hand": "disable", "scale_stick_for_xinsr_cn": "enable"}
    node_of(ROWS["OpenposePreprocessor"]).execute(**values)
    ((_, settings, resolution),) = asked
    assert (settings["hands"], settings["body"], settings["face"]) == (False, True, True)
    assert settings["thick_limbs"]
    assert resolution == 512


def test_coarse_line_art_is_another_method(asked):
    for word in ("disable", "enable"):
        node_of(ROWS["LineArtPreprocessor"]).execute(image=PICTURE, coarse=word)
    assert [call[0] for call in asked] == ["lineart_realistic", "lineart_coarse"]


def test_scribbles_stay_black_on_white():
    paper = torch.ones(1, 64, 64, 3)
    paper[:, 20:40, 30:34] = 0.1
    (drawn,) = ROWS["ScribblePreprocessor"].run(image=paper, resolution=64)
    assert torch.equal(drawn, (paper > 0.5).float())


def test_leres_cuts_off_what_is_near_and_far(monkeypatch):
    """A share of the whole range, in percent: the nearest becomes white, the farthest black."""
    depth = torch.linspace(0, 1, 64).expand(1, 64, 64)[..., None].expand(-1, -1, -1, 3)
    monkeypatch.setattr(framing, "run_preprocessor", lambda *_: Hint(depth))
    row = ROWS["LeReS-DepthMapPreprocessor"]
    values = row.complete({"image": torch.rand(1, 64, 64, 3), "resolution": 64})
    assert torch.equal(row.run(**values)[0], depth)
    (cut,) = row.run(**{**values, "rm_nearest": 20.0, "rm_background": 30.0})
    assert bool((cut[depth > 0.81] == 1).all() and (cut[depth < 0.29] == 0).all())
    between = (depth > 0.31) & (depth < 0.79)
    assert torch.equal(cut[between], depth[between])


# When they are registered


class Other:
    """A node of another pack."""


@pytest.fixture
def registry(monkeypatch):
    """The host's table of nodes with one that another pack has taken."""
    taken = {"CannyEdgePreprocessor": Other, "ZeroConvLoad": load.ZeroConvLoad}
    monkeypatch.setattr(nodes, "NODE_CLASS_MAPPINGS", taken)
    monkeypatch.setattr(nodes, "NODE_DISPLAY_NAME_MAPPINGS", {})
    monkeypatch.setattr(registering, "read_setting", lambda name, usual: usual)
    return taken


def test_an_id_that_is_taken_stays_what_it_is(registry):
    free = registering.register_stand_ins()
    assert set(free) == set(ROWS) - {"CannyEdgePreprocessor"}
    assert registry["CannyEdgePreprocessor"] is Other
    assert set(registry) == {*ROWS, "ZeroConvLoad"}


def test_the_switch_turns_them_off(registry, monkeypatch):
    monkeypatch.setattr(registering, "read_setting", lambda name, usual: False)
    assert registering.register_stand_ins() == []
    assert set(registry) == {"CannyEdgePreprocessor", "ZeroConvLoad"}


def test_other_packs_nodes_find_and_call_them(registry, asked):
    """As Impact's and Inspire's nodes do at run time: by id, by the original's method, inputs by their place."""
    registering.register_stand_ins()
    find = nodes.NODE_CLASS_MAPPINGS
    assert find["TilePreprocessor"]().execute(PICTURE, 3, resolution=72)[0].shape == (2, 64, 128, 3)
    assert find["ColorPreprocessor"]().execute(PICTURE, resolution=64)[0].shape[0] == 2
    find["HEDPreprocessor"]().execute(PICTURE, resolution=64, safe="disable")
    drawn = find["OpenposePreprocessor"]().estimate_pose(PICTURE, "disable", "enable", "enable", resolution=64)
    assert isinstance(drawn["result"][0], torch.Tensor)
    assert not asked[-1][1]["hands"]
    (marked,) = find["InpaintPreprocessor"]().preprocess(PICTURE, MASK)
    assert marked.shape == PICTURE.shape
    apply_theirs = find["ACN_AdvancedControlNetApply"]().apply_controlnet
    positive, negative, model = apply_theirs(
        positive=["p"], negative=["n"], control_net=object(), image=PICTURE, strength=0.0, start_percent=0.0,
        end_percent=1.0,
    )  # fmt: skip
    assert (positive, negative, model) == (["p"], ["n"], None)
    with pytest.raises(ValueError, match="safe is 'maybe'"):
        find["HEDPreprocessor"]().execute(PICTURE, "maybe")


def test_the_names_of_methods_are_of_rows():
    assert set(METHODS) <= set(ROWS)


@pytest.mark.parametrize(
    ("written", "read"),
    [(None, True), ("{}", True), ('{"ZeroConv.StandIns": false}', False), ('{"ZeroConv.StandIns": "no"}', True),
     ("[]", True), ("{", True)],
)  # fmt: skip
def test_the_switch_is_read_from_the_hosts_settings(written, read, tmp_path, monkeypatch):
    monkeypatch.setattr(packs.folder_paths, "get_user_directory", lambda: str(tmp_path))
    if written is not None:
        (tmp_path / "default").mkdir()
        (tmp_path / "default" / "comfy.settings.json").write_text(written)
    assert packs.read_setting("ZeroConv.StandIns", True) is read


# What newer hosts put in their place


@pytest.mark.parametrize("name", REPLACED)
def test_our_node_gets_all_that_it_requires_and_nothing_else(name):
    replacement = REPLACED[name]
    inputs = {item.id: item for item in OURS[replacement.node].define_schema().inputs}
    mapped = mappings(replacement, widget_defaults(OURS[replacement.node]))
    names = [entry["new_id"] for entry in mapped]
    assert len(set(names)) == len(names)
    assert set(names) <= set(inputs)
    assert {name for name, item in inputs.items() if not item.optional} <= set(names)
    for entry in mapped:
        options = getattr(inputs[entry["new_id"]], "options", None)
        if options and "set_value" in entry:
            assert entry["set_value"] in options


@pytest.mark.parametrize("name", REPLACED)
def test_only_values_of_the_same_type_are_carried_over(name):
    """What is a word or a file name there is never wired into a switch or a choice of ours."""
    inputs = {item.id: item for item in OURS[REPLACED[name].node].define_schema().inputs}
    theirs = {item.id: item for item in ROWS[name].inputs}
    for ours, old in REPLACED[name].inputs.items():
        if theirs[old].type == "COMBO":
            assert theirs[old].listing is not None
            assert isinstance(inputs[ours], io.Combo.Input)
        elif theirs[old].is_widget:
            assert inputs[ours].get_io_type() == theirs[old].type


def as_prompt(row):
    return {item.id: ["1", 0] if not item.is_widget else item.default for item in row.inputs}


def absences(row):
    """Inputs that a prompt leaves out: none, each alone, all that are optional, and all."""
    optional = tuple(item.id for item in row.inputs if item.optional)
    every = tuple(item.id for item in row.inputs)
    return [(), *((name,) for name in every), optional, every]


@pytest.mark.parametrize("name", REPLACED)
def test_the_host_finds_every_input_it_looks_up(name, monkeypatch):
    """Hosts from 0.12 on raise KeyError for one that is absent, and answer the prompt with an error."""
    monkeypatch.setattr(nodes, "NODE_CLASS_MAPPINGS", {})
    row = ROWS[name]
    for absent in absences(row):
        inputs = {key: value for key, value in as_prompt(row).items() if key not in absent}
        prompt = {"1": {"class_type": "LoadImage", "inputs": {}}, "2": {"class_type": name, "inputs": dict(inputs)}}
        complete_missing(STAND_INS, prompt)
        completed = prompt["2"]["inputs"]
        assert prompt["2"]["_meta"] == {}
        assert set(row.replacement.inputs.values()) <= set(completed)
        assert inputs.items() <= completed.items()
        for item in row.inputs:
            if item.id in absent:
                assert completed[item.id] == item.when_absent


def test_a_prompt_of_installed_packs_is_left_alone(monkeypatch):
    monkeypatch.setattr(nodes, "NODE_CLASS_MAPPINGS", {"CannyEdgePreprocessor": Other})
    prompt = {"2": {"class_type": "CannyEdgePreprocessor", "inputs": {"image": ["1", 0]}}, "3": None, "4": {}}
    complete_missing(STAND_INS, prompt)
    assert prompt["2"]["inputs"] == {"image": ["1", 0]}


@pytest.mark.skipif(not hasattr(io, "NodeReplace"), reason="this host replaces no nodes")
@pytest.mark.parametrize("name", REPLACED)
def test_a_newer_host_replaces_them(name, monkeypatch):
    import server
    from app.node_replace_manager import NodeReplaceManager

    manager = NodeReplaceManager()
    instance = type("Server", (), {"node_replace_manager": manager})()
    monkeypatch.setattr(server.PromptServer, "instance", instance, raising=False)
    asyncio.run(offer_replacements(STAND_INS, OURS))
    monkeypatch.setattr(nodes, "NODE_CLASS_MAPPINGS", OURS)
    for absent in absences(ROWS[name]):
        inputs = {key: value for key, value in as_prompt(ROWS[name]).items() if key not in absent}
        prompt = {"2": {"class_type": name, "inputs": inputs}}  # without _meta, as programs send it
        complete_missing(STAND_INS, prompt)
        manager.apply_replacements(prompt)
        replacement = REPLACED[name]
        assert prompt["2"]["class_type"] == replacement.node
        for ours, old in replacement.inputs.items():
            if old in inputs:
                assert prompt["2"]["inputs"][ours] == inputs[old]


@pytest.mark.skipif(hasattr(io, "NodeReplace"), reason="this host replaces nodes")
def test_an_older_host_is_left_alone():
    asyncio.run(offer_replacements(STAND_INS, OURS))

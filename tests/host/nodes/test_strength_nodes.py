"""The strength nodes: every socket is explained, and each node hands on what its widgets say."""

import importlib
import inspect

import pytest
import torch
from support.comfy_host import import_host, small_model
from support.sampling import core, hint, ours, prompts
from zeroconv.controlnet.strength.block_weights import Curve, Listed, Soft, SoftA1111, SoftDiffusers
from zeroconv.controlnet.strength.cfg_weights import CfgWeights
from zeroconv.controlnet.strength.schedule import Keyframe, Schedule
from zeroconv.host.conditioning import Unit, apply_unit

import_host()

from zeroconv.nodes import TOPICS
from zeroconv.nodes.hint.fit import ZeroConvFitHint, ZeroConvPixelPerfect
from zeroconv.nodes.hint.preview import ZeroConvPreviewHint
from zeroconv.nodes.report.preview_steps import ZeroConvPreviewSteps
from zeroconv.nodes.strength import schedule
from zeroconv.nodes.strength.block_weights import ZeroConvBlockWeights, ZeroConvSoftWeights
from zeroconv.nodes.strength.cfg_weights import ZeroConvCfgWeights
from zeroconv.nodes.strength.control_mode import ZeroConvControlMode
from zeroconv.nodes.strength.item_strengths import ZeroConvItemStrengths
from zeroconv.nodes.strength.match_program import ZeroConvMatchProgram
from zeroconv.nodes.strength.range_counting import ZeroConvRangeCounting

FOLDERS = {
    node: topic.split(".")[0] for topic in TOPICS for node in importlib.import_module(f"zeroconv.nodes.{topic}").NODES
}
"""The folder of every node."""
PLAIN = [node for node in FOLDERS if not node.execute.__func__.__code__.co_flags & inspect.CO_VARKEYWORDS]
"""Nodes that take their inputs by name, one by one."""


@pytest.fixture
def temp_folder(tmp_path):
    import folder_paths

    before = folder_paths.get_temp_directory()
    folder_paths.set_temp_directory(str(tmp_path))
    yield tmp_path
    folder_paths.set_temp_directory(before)


@pytest.mark.parametrize("node", FOLDERS, ids=lambda node: node.__name__)
def test_every_socket_is_explained(node):
    definition = node.define_schema()
    assert definition.node_id == node.__name__
    assert definition.category.split("/")[:2] == ["ZeroConv", FOLDERS[node]], "a folder for each menu"
    assert definition.description
    for socket in (*definition.inputs, *definition.outputs):
        assert socket.tooltip, socket


@pytest.mark.parametrize("node", PLAIN, ids=lambda node: node.__name__)
def test_execute_takes_the_inputs_in_their_order(node):
    code = node.execute.__func__.__code__
    names = code.co_varnames[1 : code.co_argcount]
    assert list(names) == [socket.id for socket in node.define_schema().inputs]


def test_schedule():
    value = schedule.ZeroConvSchedule.execute("0: 1, 1: 0 hold", "steps").args[0]
    assert value == Schedule((Keyframe(0, 1), Keyframe(1, 0, "hold")), "steps")


def test_keyframes_in_any_order():
    add = schedule.ZeroConvKeyframe.execute
    last = add(1.0, 0.0, "linear", "steps").args[0]
    value = add(0.0, 1.0, "ease", "timesteps", last).args[0]
    assert value == Schedule.parse("0: 1 ease, 1: 0", "steps")


def test_block_weights():
    assert ZeroConvBlockWeights.execute("1, 0.5").args[0] == Listed((1, 0.5))
    assert isinstance(ZeroConvBlockWeights.execute("0: 0, 1: 1").args[0], Curve)


@pytest.mark.parametrize(
    ("kind", "rule"), [("whole depth", Soft(0.7)), ("A1111", SoftA1111(0.7)), ("diffusers", SoftDiffusers())]
)
def test_soft_weights(kind, rule):
    assert ZeroConvSoftWeights.execute(0.7, kind).args[0] == rule


def test_settings_of_a_control_add_up():
    control = ours(1)
    control = ZeroConvControlMode.execute(control, "control", "A1111").args[0]
    control = ZeroConvItemStrengths.execute(control, "0: 0.5", False).args[0]
    control = ZeroConvRangeCounting.execute(control, "steps").args[0]
    control = ZeroConvFitHint.execute(control, "stretch", "edges", "repeat").args[0]
    factors = control.settings.factors
    assert (factors.cfg_weights, factors.block_weights) == (CfgWeights(1, 0), SoftA1111())
    assert factors.items.factors(2) == (0.5, 1)
    assert factors.counting == "steps"
    assert (control.settings.fit.mode, control.settings.fit.resampling, control.settings.hint_order) == (
        "stretch",
        "edges",
        "repeat",
    )
    sides = ZeroConvCfgWeights.execute(control, 0.5, 0.25).args[0].settings.factors.cfg_weights
    assert sides == CfgWeights(0.5, 0.25)
    assert ZeroConvMatchProgram.execute(control, "diffusers", "guess").args[0].settings.factors.counting == "steps"


def test_another_packs_control_is_refused():
    with pytest.raises(ValueError, match="cannot take a control mode"):
        ZeroConvControlMode.execute(core(1), "control", "A1111")


def test_pixel_perfect():
    latent = {"samples": torch.zeros(1, 4, 64, 64)}
    image = torch.zeros(1, 1000, 2000, 3)
    assert ZeroConvPixelPerfect.execute(image, latent, "crop").args[0] == 512
    assert ZeroConvPixelPerfect.execute(image, latent, "fit inside").args[0] == 256


def test_previews_give_and_show_pictures(temp_folder):
    positive, _ = apply_unit(Unit(ours(1), hint(), end=0.5), *prompts())
    latent = {"samples": torch.zeros(2, 4, 8, 8)}
    hints = ZeroConvPreviewHint.execute(positive, latent)
    assert [picture.shape for picture in hints.args[0]] == [(2, 64, 64, 3)]
    plot = ZeroConvPreviewSteps.execute(small_model(64), positive, 10, "euler", "normal", 1.0, 0, 10000)
    assert plot.args[0].shape[0] == 1
    assert "runs 5 of 10 steps: 1 1 1 1 1 0 0 0 0 0" in plot.args[1]
    assert len(list(temp_folder.glob("*.png"))) == 3


def test_a_prompt_without_control_has_an_empty_plan(temp_folder):
    plot = ZeroConvPreviewSteps.execute(small_model(64), prompts()[0], 10, "euler", "normal", 1.0, 0, 10000)
    assert plot.args[1] == ""
    assert len(list(temp_folder.glob("*.png"))) == 1


@pytest.mark.parametrize("node", PLAIN, ids=lambda node: node.__name__)
def test_the_host_takes_the_node(node):
    """The host's own check of a schema, and the description that its front end is sent."""
    assert node.GET_SCHEMA().node_id == node.__name__
    assert node.GET_NODE_INFO_V1()["category"] == f"ZeroConv/{FOLDERS[node]}"

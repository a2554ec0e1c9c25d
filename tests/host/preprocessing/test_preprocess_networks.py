"""Preprocessor networks in ComfyUI's memory management: loaded once, bounded, equal to plain torch."""

import gc
import importlib
import weakref
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from support.comfy_host import import_host

import_host()

import comfy.model_management
import comfy.ops
from comfy_execution.graph_utils import ExecutionBlocker
from zeroconv.host.preprocessing import networks as host_networks
from zeroconv.host.preprocessing.networks import HostNetworks
from zeroconv.host.preprocessing.run import run_preprocessor
from zeroconv.nodes.preprocess import methods
from zeroconv.preprocessors.catalogue import preprocessors
from zeroconv.preprocessors.description import Hint
from zeroconv.preprocessors.networks.hed import HED
from zeroconv.preprocessors.networks.teed import TEED
from zeroconv.preprocessors.running import Options, preprocess
from zeroconv.preprocessors.weights.local_networks import LocalNetworks


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with HED and TEED of random weights, the only one that the host looks into."""
    torch.manual_seed(0)
    for network, name in ((HED(), "ControlNetHED"), (TEED(), "7_model")):
        weights = {key: torch.randn_like(value.float()) * 0.05 for key, value in network.state_dict().items()}
        save_file(weights, tmp_path / f"{name}.safetensors")
    monkeypatch.setattr(host_networks, "weight_folders", lambda: [tmp_path])
    return tmp_path


def test_ten_runs_load_once_and_equal_plain_torch(folder, monkeypatch):
    networks = HostNetworks()
    monkeypatch.setattr("zeroconv.host.preprocessing.run.NETWORKS", networks)
    hed = preprocessors()["hed"]
    images = torch.rand(2, 40, 56, 3)
    expected = preprocess(hed, images, LocalNetworks([folder])).image
    for _ in range(10):
        hints = run_preprocessor(hed, images, {}, Options()).image
        torch.testing.assert_close(hints, expected, atol=1e-5, rtol=0)
    assert networks.loads == 1


def test_the_network_is_made_of_the_hosts_layers_and_known_to_its_memory_management(folder):
    networks = HostNetworks()
    network = networks("hed")
    assert isinstance(network.block1.convs[0], comfy.ops.disable_weight_init.Conv2d)
    assert any(model.model.model is network for model in comfy.model_management.current_loaded_models)


def test_the_cache_has_a_bound_and_can_be_emptied(folder):
    networks = HostNetworks(kept_bytes=1)
    networks("hed")
    networks("teed")
    networks("teed")
    assert networks.loads == 2
    networks("hed")
    assert networks.loads == 3
    networks.clear()
    networks("hed")
    assert networks.loads == 4


def test_cancel_stops_before_the_next_image(folder, monkeypatch):
    monkeypatch.setattr("zeroconv.host.preprocessing.run.NETWORKS", HostNetworks())
    comfy.model_management.interrupt_current_processing()
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run_preprocessor(preprocessors()["hed"], torch.rand(3, 32, 32, 3), {}, Options())


def test_the_hosts_choice_of_dtype_is_followed_except_for_bfloat16(monkeypatch):
    cpu = torch.device("cpu")
    for chosen, used in ((torch.float16, torch.float16), (torch.bfloat16, torch.float32)):
        monkeypatch.setattr(comfy.model_management, "unet_dtype", lambda chosen=chosen, **options: chosen)
        assert host_networks.half_dtype(cpu) == used


@pytest.fixture
def executor(folder, monkeypatch):
    """The host's own executor with the HED node and a maker of pictures; no server around it."""
    import execution
    from zeroconv.nodes.preprocess.methods import NODES

    class Noise:
        RETURN_TYPES, FUNCTION = ("IMAGE",), "make"

        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {"seed": ("INT", {})}}

        def make(self, seed):
            return (torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(seed)),)

    ours = {node.GET_SCHEMA().node_id: node for node in NODES}
    for name, node in {"Noise": Noise, "ZeroConvHed": ours["ZeroConvHed"]}.items():
        monkeypatch.setitem(importlib.import_module("nodes").NODE_CLASS_MAPPINGS, name, node)
    monkeypatch.setattr("zeroconv.nodes.preprocess.methods._shown", lambda *arguments: {})
    networks = HostNetworks()
    monkeypatch.setattr("zeroconv.nodes.preprocess.methods.NETWORKS", networks)
    monkeypatch.setattr("zeroconv.host.preprocessing.run.NETWORKS", networks)
    server = SimpleNamespace(client_id=None, last_node_id=None, last_prompt_id=None, send_sync=lambda *event: None)
    return execution.PromptExecutor(server, cache_args={"ram": 0.0, "ram_inactive": 0.0}), networks


def run_hed(executor, seed: int, *, node: str = "2") -> None:
    graph = {
        "1": {"class_type": "Noise", "inputs": {"seed": seed}},
        node: {
            "class_type": "ZeroConvHed",
            "inputs": {"image": ["1", 0], "resolution": 0, "safe": False, "result_size": "processing"},
        },
    }
    executor.execute(graph, f"run {seed} {node}", {}, [node])
    assert executor.success, executor.status_messages


def test_a_second_run_loads_nothing_and_freeing_the_models_ends_the_networks(executor):
    """`POST /free` unloads all models, makes the executor forget its caches and collects garbage: so here."""
    executor, networks = executor
    run_hed(executor, 0)
    network = weakref.ref(networks("hed"))
    run_hed(executor, 1)
    run_hed(executor, 2)
    assert networks.loads == 1
    comfy.model_management.unload_all_models()
    executor.reset()
    gc.collect()
    assert network() is None
    run_hed(executor, 3)
    run_hed(executor, 4)
    assert networks.loads == 2


def test_another_workflow_ends_the_networks_of_the_one_before(executor):
    executor, networks = executor
    run_hed(executor, 0)
    network = weakref.ref(networks("hed"))
    executor.execute({"1": {"class_type": "Noise", "inputs": {"seed": 1}}}, "without", {}, ["1"])
    gc.collect()
    assert network() is None


def test_a_cancel_between_two_layers_leaves_the_rest_undone(folder, monkeypatch):
    networks = HostNetworks()
    monkeypatch.setattr("zeroconv.host.preprocessing.run.NETWORKS", networks)
    layers = [layer for layer in networks("hed").modules() if isinstance(layer, torch.nn.Conv2d)]
    done = []

    def count(layer, inputs, output):
        done.append(layer)
        if len(done) == 3:
            comfy.model_management.interrupt_current_processing()

    for layer in layers:
        layer.register_forward_hook(count)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run_preprocessor(preprocessors()["hed"], torch.rand(1, 32, 32, 3), {}, Options())
    assert len(done) == 3 < len(layers)
    run_preprocessor(preprocessors()["hed"], torch.rand(1, 32, 32, 3), {}, Options())
    assert len(done) == 3 + len(layers)


@pytest.fixture
def half_host(tmp_path, monkeypatch):
    """A host that chooses half precision, and notes the dtype of every network that it makes."""
    made = []

    def build(name, folders, ops):
        made.append(name)
        return torch.nn.Conv2d(3, 1, 1)

    monkeypatch.setattr(host_networks, "build_network", build)
    monkeypatch.setattr(comfy.model_management, "unet_dtype", lambda **options: torch.float16)
    return made


@pytest.mark.parametrize(
    ("precision", "dtype"), [("auto", torch.float32), ("fp32", torch.float32), ("fp16", torch.float16)]
)
def test_depth_is_computed_in_float32_unless_half_precision_is_asked_for(half_host, precision, dtype):
    networks = HostNetworks()
    assert networks.in_precision(precision)("midas").weight.dtype == dtype
    assert networks("hed").weight.dtype == torch.float16, "other networks follow the host"


def test_the_precisions_of_a_network_are_kept_apart(half_host):
    networks = HostNetworks()
    for precision in ("fp16", "fp32", "auto", "fp16"):
        networks.in_precision(precision)("zoe")
    assert half_host == ["zoe", "zoe"]


def any_preprocessor(method: str) -> tuple:
    """The outputs of the node that offers all methods."""
    return methods.ZeroConvPreprocess.execute(torch.rand(1, 32, 32, 3), 0, method, "processing", False).args


def test_the_node_of_all_methods_gives_the_depth_of_a_depth_method(monkeypatch):
    raw = torch.rand(1, 32, 32) * 9
    monkeypatch.setattr(methods, "run_preprocessor", lambda *given: Hint(torch.rand(1, 32, 32, 3), depth=raw))
    assert any_preprocessor("zoe_depth")[2] is raw


def test_without_depth_what_is_wired_to_it_does_not_run_and_says_why():
    hint, sheet, depth = any_preprocessor("canny")
    assert torch.equal(hint, sheet)
    assert isinstance(depth, ExecutionBlocker)
    assert "Canny Edges makes no depth" in str(depth.message)

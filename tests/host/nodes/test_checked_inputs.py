"""Every node, as the host gets it, refuses values that its schema does not allow: choices, numbers, images."""

import asyncio
import math
from typing import Any

import pytest
import torch
from support.comfy_host import import_host

import_host()

from comfy_api.latest import io
from zeroconv.nodes import ZeroConvExtension
from zeroconv.nodes.checked import check_inputs

NODES = {node.define_schema().node_id: node for node in asyncio.run(ZeroConvExtension().get_node_list())}
NAN = float("nan")


def inputs_of(*kinds: type) -> list[tuple[str, Any]]:
    """(node, input) of every input of these types."""
    schemas = {name: node.define_schema() for name, node in NODES.items()}
    return [(name, each) for name, schema in schemas.items() for each in schema.inputs if isinstance(each, kinds)]


def run(node: str, **values: Any) -> io.NodeOutput:
    """As the host does: on a locked copy of the class, all by name."""
    clone = NODES[node].PREPARE_CLASS_CLONE({})
    return NODES[node].EXECUTE_NORMALIZED.__func__(clone, **values)


@pytest.mark.parametrize(("node", "declared"), inputs_of(io.Combo.Input), ids=lambda value: getattr(value, "id", value))
def test_a_choice_that_does_not_exist_is_refused_by_every_node(node: str, declared: Any) -> None:
    if not declared.options:
        pytest.skip("a list of files that are not here")
    with pytest.raises(ValueError, match=rf"^{declared.id} is 'no such choice'; choose one of: ") as error:
        run(node, **{declared.id: "no such choice"})
    assert str(declared.options[0]) in str(error.value)


@pytest.mark.parametrize(
    ("node", "declared"), inputs_of(io.Int.Input, io.Float.Input), ids=lambda value: getattr(value, "id", value)
)
def test_numbers_that_are_none_or_out_of_range_are_refused_by_every_node(node: str, declared: Any) -> None:
    beyond = [bound for bound in (declared.min and declared.min - 1, declared.max and declared.max + 1) if bound]
    for value in (NAN, math.inf, "5", None, True, torch.zeros(3), *beyond):
        if value is None and declared.optional:
            continue
        with pytest.raises(ValueError, match=f"^{declared.id} is "):
            run(node, **{declared.id: value})


@pytest.mark.parametrize(
    ("node", "declared"), inputs_of(io.Conditioning.Input), ids=lambda value: getattr(value, "id", value)
)
def test_prompts_that_are_none_are_refused_by_every_node(node: str, declared: Any) -> None:
    with pytest.raises(ValueError, match=f"^{declared.id} is empty: "):
        run(node, **{declared.id: None})


@pytest.mark.parametrize(
    ("node", "declared"), inputs_of(io.Image.Input, io.Mask.Input), ids=lambda value: getattr(value, "id", value)
)
def test_images_and_masks_that_are_none_are_refused_by_every_node(node: str, declared: Any) -> None:
    image = torch.rand(1, 64, 64, 3) if isinstance(declared, io.Image.Input) else torch.rand(1, 64, 64)
    spoiled, endless = image.clone(), image.clone()
    spoiled[0, 3, 3], endless[0, 3, 3] = NAN, math.inf
    for value in (spoiled, endless, image[:0], image[0, 0, 0], "image.png", {"samples": image}):
        with pytest.raises(ValueError, match=f"^{declared.id} "):
            run(node, **{declared.id: value})


def test_an_image_with_gradients_runs() -> None:
    image = torch.rand(1, 64, 64, 3, requires_grad=True)
    declared = NODES["ZeroConvInvert"].define_schema()
    fitting = check_inputs(declared, {"image": image, "resolution": 0.0})
    assert not fitting["image"].requires_grad
    assert type(fitting["resolution"]) is int


def test_values_that_fit_are_left_as_they_are() -> None:
    for node in NODES.values():
        schema = node.define_schema()
        values = {
            each.id: each.default
            for each in schema.inputs
            if isinstance(each, io.WidgetInput) and each.default is not None
        }
        assert check_inputs(schema, values) == values


def test_a_file_of_a_folder_is_found_with_either_separator() -> None:
    schema = io.Schema("Test", inputs=[io.Combo.Input("file", options=["a\\b.safetensors", "c.safetensors"])])
    assert check_inputs(schema, {"file": "a/b.safetensors"}) == {"file": "a\\b.safetensors"}


@pytest.mark.parametrize("name", ["Canny Edges", "canny", "CannyEdgePreprocessor"])
def test_a_method_is_known_by_its_label_its_id_and_names_of_other_packs(name: str) -> None:
    """People choose labels; workflows that were saved before, and programs, give ids."""
    node = NODES["ZeroConvPreprocess"]
    (declared,) = [each for each in node.define_schema().inputs if each.id == "method"]
    assert check_inputs(node.define_schema(), {"method": name}) == {"method": "Canny Edges"}
    assert "Canny Edges" in (declared.options or ())
    assert "canny" not in (declared.options or ())
    assert node.validate_inputs(method=name) is True
    assert "No method is called 'cany'" in node.validate_inputs(method="cany")

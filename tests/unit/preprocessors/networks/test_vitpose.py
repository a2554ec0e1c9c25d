"""ViTPose: equal to transformers' own, from its names and from the authors'; reading of its maps."""

import cv2
import numpy as np
import pytest
import torch
from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation
from transformers.models.vitpose import image_processing_vitpose
from zeroconv.preprocessors.networks import vitpose
from zeroconv.preprocessors.pose.landmarks import crop, crop_places, decode_maps, vitpose_reader


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def original(width=384, heads=12, simple=False, points=133, experts=1, depth=1):
    """transformers' network with random weights that leave nothing at zero or one."""
    torch.manual_seed(0)
    sizes = {"hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": heads, "out_indices": [depth]}
    mixture = {"num_experts": experts, "part_features": 96 if experts > 1 else 0}
    backbone = VitPoseBackboneConfig(image_size=(256, 192), patch_size=(16, 16), **sizes, **mixture)
    config = VitPoseConfig(backbone_config=backbone, num_labels=points, use_simple_decoder=simple)
    with torch.device("meta"):
        network = VitPoseForPoseEstimation(config)
    network.to_empty(device="cpu").eval()
    for name, value in network.state_dict().items():
        if not value.is_floating_point():
            value.zero_()
        elif "running_var" in name:
            value.uniform_(0.5, 2)
        elif value.dim() == 1:
            value.normal_(1.0 if name.endswith("weight") else 0.0, 0.2)
        else:
            value.normal_(0, 1.5 * value[0].numel() ** -0.5 if "position" not in name else 0.5)
    return network


def authors_names(state_dict):
    """The same weights under the names of ViTAE-Transformer/ViTPose, written down from its checkpoints."""
    renamed = {}
    for name, value in state_dict.items():
        if name.startswith("backbone.embeddings"):
            new = "backbone.pos_embed" if "position" in name else f"backbone.patch_embed.proj.{name.split('.')[-1]}"
        elif name.startswith("backbone.layernorm"):
            new = name.replace("layernorm", "last_norm")
        elif name.startswith("head"):
            layer, kind = name.split(".")[1:]
            place = {"conv": "final_layer", "deconv1": "deconv_layers.0", "batchnorm1": "deconv_layers.1",
                     "deconv2": "deconv_layers.3", "batchnorm2": "deconv_layers.4"}[layer]  # fmt: skip
            new = f"keypoint_head.{place}.{kind}"
        else:
            number, rest = name.removeprefix("backbone.encoder.layer.").split(".", 1)
            parts = {"layernorm_before": "norm1", "layernorm_after": "norm2", "attention.output.dense": "attn.proj"}
            for old, short in parts.items():
                rest = rest.replace(old, short)
            if "attention.attention" in rest:
                part, kind = rest.split(".")[-2:]
                if part != "query":
                    continue
                three = (state_dict[name.replace("query", each)] for each in ("query", "key", "value"))
                rest, value = f"attn.qkv.{kind}", torch.cat(list(three))
            new = f"backbone.blocks.{number}.{rest.replace('experts.experts', 'experts')}"
        renamed[new] = value
    return renamed


@pytest.mark.parametrize(
    "sizes",
    [
        {"points": 133, "depth": 2},
        {"width": 768, "simple": True, "points": 17},
        {"width": 1024, "heads": 16, "points": 17},
        {"experts": 6, "points": 17},
    ],
    ids=["small whole body", "base simple", "large", "ViTPose+"],
)
def test_maps_are_those_of_transformers_from_either_names(sizes):
    network = original(**sizes)
    state_dict = network.state_dict()
    crops = torch.rand(3, 3, 256, 192, generator=torch.Generator().manual_seed(1)) * 4 - 2
    data_sets = torch.zeros(3, dtype=torch.int64) if "experts" in sizes else None
    with torch.inference_mode():
        expected = network(crops, dataset_index=data_sets).heatmaps
        for weights in (state_dict, {"state_dict": authors_names(state_dict)}):
            got = vitpose.build(weights)(crops)
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


def test_other_weights_are_refused_in_words():
    state_dict = authors_names(original(depth=2).state_dict())
    with pytest.raises(ValueError, match="does not fit ViTPose: it is 100 wide"):
        vitpose.build({**state_dict, "backbone.last_norm.weight": torch.ones(100)})
    state_dict.pop("backbone.blocks.1.norm1.weight")
    with pytest.raises(ValueError, match="does not fit ViTPose"):
        vitpose.build(state_dict)


def gaussians(places, height=64, width=48, deviation=2.0):
    rows, columns = np.mgrid[:height, :width]
    maps = [np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * deviation**2)) for x, y in places]
    return torch.from_numpy(np.stack(maps)).float()[None]


def test_peaks_between_cells_are_found():
    places = [(10.3, 20.8), (30.0, 40.49), (24.75, 31.25), (15.5, 50.1)]
    found = decode_maps(gaussians(places))[0]
    assert found[:, :2].numpy() == pytest.approx(np.array(places), abs=0.02)


def test_maps_are_read_as_transformers_reads_them(monkeypatch):
    """With OpenCV's blur of 11 cells, as mmpose has it; transformers' is narrower."""
    maps = 0.1 * torch.rand(2, 5, 64, 48, generator=torch.Generator().manual_seed(0))
    maps += torch.cat([gaussians([(8 * n + 6.2, 9 * n + 8.4) for n in range(5)])] * 2)
    monkeypatch.setattr(
        image_processing_vitpose, "gaussian_filter", lambda heat, **_: cv2.GaussianBlur(heat, (11, 11), 0)
    )
    places = maps.flatten(2).argmax(-1)
    peaks = torch.stack([places % 48, places // 48], dim=-1).double().numpy()
    read = image_processing_vitpose.post_dark_unbiased_data_processing
    expected = read(peaks.copy(), maps.double().numpy(), kernel=11)
    got = decode_maps(maps)
    assert got[..., 2].numpy() == pytest.approx(maps.flatten(2).amax(-1).numpy())
    moved = np.abs(expected - peaks).max(-1) < 1
    assert moved.sum() >= 8
    assert got[..., :2].numpy()[moved] == pytest.approx(expected[moved], abs=1e-3)


def test_a_flat_map_has_its_peak_somewhere():
    assert torch.isfinite(decode_maps(torch.zeros(1, 3, 64, 48))).all()
    assert torch.isfinite(decode_maps(torch.full((1, 3, 64, 48), -5.0))).all()


class Brightness(torch.nn.Module):
    """In place of the network: the map is the crop's red, as large as maps are."""

    def forward(self, crops):
        red = crops[:, :1] * 0.229 + 0.485
        return torch.nn.functional.interpolate(red, (64, 48), mode="bilinear", align_corners=True)


def test_points_come_back_to_where_they_were_in_the_picture():
    rows, columns = np.mgrid[:300, :400]
    spots = [(150.0, 100.0), (170.0, 180.0)]
    pictures = np.stack([np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 200) for x, y in spots])
    images = torch.from_numpy(pictures).float()[..., None].repeat(1, 1, 1, 3)
    boxes, owners = np.array([[100, 50, 220, 210], [90, 40, 240, 260.0]]), np.array([0, 1])
    reader = vitpose_reader(Brightness())
    corners, scales = crop_places(boxes, reader.size, reader.to_centers)
    points = reader.read(crop(images, owners, corners, scales, reader.size)).double().numpy()
    found = corners + scales * points[:, 0, :2]
    assert found == pytest.approx(np.array(spots), abs=0.3)

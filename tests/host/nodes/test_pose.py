"""Poses that a preprocessor found, through the Pose node of a real server: the same pictures, the same keypoints."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from zeroconv.benchmarks.sides.reference_packages import reference_file
from zeroconv.comfy_client.server import ComfyServer, Result
from zeroconv.comfy_client.workflow import Image as ImageOutput
from zeroconv.comfy_client.workflow import Output, Workflow
from zeroconv.demo.photo import photo
from zeroconv.preprocessors.methods.pose_mediapipe import MEDIAPIPE_POSE, detect_mediapipe
from zeroconv.preprocessors.networks.mediapipe import build_file
from zeroconv.preprocessors.pose.files import FILM_LAYOUTS
from zeroconv.preprocessors.pose.keypoints import to_pose_keypoint
from zeroconv.preprocessors.weights.catalogue import weights_of

PARTS = ("pose_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "face_keypoints_2d")
TRACED = "traced.png"
STANDING = (
    (48, 30), (48, 48), (40, 48), (38, 66), (37, 82), (56, 48), (58, 66), (59, 82), (43, 90), (42, 116), (42, 142),
    (53, 90), (54, 116), (54, 142), (46, 28), (50, 28), (44, 29), (52, 29),
)  # fmt: skip
"""The 18 points of a person, on a canvas of 96 x 160."""


def weights(name: str) -> Path:
    """MediaPipe's own file."""
    row = weights_of(name)
    assert row.wheel
    return reference_file(row.wheel.member)


@pytest.fixture(scope="module")
def files(server: ComfyServer) -> None:
    """MediaPipe's weights, a photograph of a person, and one of nobody."""
    for name in MEDIAPIPE_POSE.weights:
        place = server.base / "models" / "preprocessors" / weights_of(name).file
        place.unlink(missing_ok=True)
        place.symlink_to(weights(name))
    Image.fromarray(data.astronaut()).save(server.base / "input" / "person.png")
    photo().save(server.base / "input" / "nobody.png")
    photo(128).resize((192, 128)).save(server.base / "input" / TRACED)


def pictures(result: Result, node: str) -> list[np.ndarray]:
    """What a saving node wrote, 0..255."""
    return [np.array(Image.open(file)) for file in result.files(node)]


def preprocess_and_pose(poses: str = "", wired: bool = True) -> tuple[Workflow, str, str, str]:
    """A graph, its Pose node, and the nodes that save its pictures and the preprocessor's."""
    flow = Workflow()
    both = flow.add("ImageBatch", image1=flow.load_image("person.png"), image2=flow.load_image("nobody.png"))
    settings = {"result_size": "processing", **MEDIAPIPE_POSE.settings()}
    found = flow.add("ZeroConvMediapipePose", image=Output(both, 0), resolution=0, **settings)
    keypoints = Output(found, 1) if wired else None
    pose = flow.add("ZeroConvPose", poses=poses, thick_limbs=False, keypoints=keypoints)
    return flow, pose, flow.save_image(ImageOutput(pose, 0)), flow.save_image(ImageOutput(found, 0))


def joints(frame: dict[str, Any]) -> np.ndarray:
    """x, y, score of everyone's joints in turn."""
    return np.array([number for person in frame["people"] for part in PARTS for number in person[part]])


@pytest.fixture(scope="module")
def wired(server: ComfyServer, files: None) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The frame that the editor is shown, and the pictures, which are the preprocessor's."""
    flow, pose, drawn, hints = preprocess_and_pose()
    result = server.queue(flow.to_api())
    assert len(pictures(result, drawn)) == 2
    for ours, hint in zip(pictures(result, drawn), pictures(result, hints), strict=True):
        assert (ours == hint).all()
    (frame,) = result.outputs[pose]["zeroconv_poses"]
    return frame, pictures(result, drawn)


def test_wired_poses_are_drawn_as_the_preprocessor_does(wired: tuple[dict[str, Any], list[np.ndarray]]) -> None:
    frame, (person, nobody) = wired
    assert (frame["canvas_width"], frame["canvas_height"]) == (512, 512)
    assert len(frame["people"]) == 1
    assert 5_000 < person.any(axis=-1).sum() < 60_000
    assert not nobody.any()


def test_keypoints_are_those_that_the_networks_find(wired: tuple[dict[str, Any], list[np.ndarray]]) -> None:
    images = torch.from_numpy(data.astronaut().astype(np.float32) / 255)[None]
    networks = {name: build_file(weights(name)) for name in MEDIAPIPE_POSE.weights}.__getitem__
    (expected,) = to_pose_keypoint(detect_mediapipe(images, MEDIAPIPE_POSE.settings(), networks))
    assert joints(wired[0]) == pytest.approx(joints(expected), abs=0.05)


def test_the_shown_poses_as_the_editors_own_are_the_same(
    server: ComfyServer, wired: tuple[dict[str, Any], list[np.ndarray]]
) -> None:
    """What the editor takes over from a run and saves in the workflow draws the same, without a wire."""
    frame, (person, _) = wired
    flow, pose, drawn, _ = preprocess_and_pose(json.dumps(frame), wired=False)
    again = flow.add("ZeroConvPose", poses="", thick_limbs=False, keypoints=Output(pose, 1))
    last = flow.save_image(ImageOutput(again, 0))
    result = server.queue(flow.to_api())
    for node in (drawn, last):
        (picture,) = pictures(result, node)
        assert (picture == person).all()
    for node in (pose, again):
        (shown,) = result.outputs[node]["zeroconv_poses"]
        assert joints(shown) == pytest.approx(joints(frame), abs=1e-3)


def test_the_editors_own_poses_come_before_wired_ones(server: ComfyServer, files: None) -> None:
    empty = '{"canvas_width": 320, "canvas_height": 256, "people": []}'
    flow, _, drawn, _ = preprocess_and_pose(empty)
    (picture,) = pictures(server.queue(flow.to_api()), drawn)
    assert picture.shape == (256, 320, 3)
    assert not picture.any()


def test_an_empty_canvas_has_the_size_of_the_traced_picture(server: ComfyServer, files: None) -> None:
    flow = Workflow()
    pose = flow.add("ZeroConvPose", poses="", thick_limbs=False, image=flow.load_image(TRACED))
    saved = flow.save_image(ImageOutput(pose, 0))
    result = server.queue(flow.to_api())
    (picture,) = pictures(result, saved)
    assert picture.shape == (128, 192, 3)
    assert not picture.any(), "the traced picture is never part of the result"
    assert len(result.outputs[pose]["zeroconv_traced"]) == 1


@pytest.mark.parametrize("layout", FILM_LAYOUTS)
def test_poses_of_a_film_are_saved_and_loaded(server: ComfyServer, layout: str) -> None:
    """Selected, smoothed and retargeted on the way; drawn from the file as from the wire."""
    body = [number for x, y in STANDING for number in (x, y, 1.0)]
    people = [{"pose_keypoints_2d": body}, {"pose_keypoints_2d": [number / 2 for number in body]}]
    (server.base / "input" / "film.json").write_text(
        json.dumps([{"canvas_width": 96, "canvas_height": 160, "people": people}] * 3)
    )
    flow = Workflow()
    film = Output(flow.add("ZeroConvLoadPoses", file="film.json", canvas_width=0, canvas_height=0), 0)
    parts = {"body": True, "hands": True, "face": True, "order": "largest", "people": 1, "minimum_score": 0.0}
    one = Output(flow.add("ZeroConvSelectPoses", keypoints=film, **parts), 0)
    calm = Output(flow.add("ZeroConvSmoothPoses", keypoints=one, cutoff=1.0, beta=5.0, frame_rate=24.0, fill=3), 0)
    child = Output(flow.add("ZeroConvRetargetPoses", keypoints=calm, proportions="child", anchor="feet"), 0)
    name = f"film {layout[:5]}"
    saved = flow.add("ZeroConvSavePoses", keypoints=child, name=name, layout=layout)
    drawn = flow.save_image(ImageOutput(flow.add("ZeroConvPose", poses="", thick_limbs=False, keypoints=child), 0))
    result = server.queue(flow.to_api())
    assert f"{name}_00001" in result.outputs[saved]["text"][0]
    choice = f"{name}_00001{'.json' if layout == 'one file' else '/'} [output]"
    again = Workflow()
    loaded = Output(again.add("ZeroConvLoadPoses", file=choice, canvas_width=0, canvas_height=0), 0)
    redrawn = again.save_image(ImageOutput(again.add("ZeroConvPose", poses="", thick_limbs=False, keypoints=loaded), 0))
    expected, found = pictures(result, drawn), pictures(server.queue(again.to_api()), redrawn)
    assert len(expected) == len(found) == 3
    for one_frame, other in zip(expected, found, strict=True):
        assert one_frame.any()
        assert (one_frame == other).all()

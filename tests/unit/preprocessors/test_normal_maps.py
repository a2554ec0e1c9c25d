"""Every normal map in every convention, on rendered balls whose normals are exactly known."""

import pytest
import torch
from zeroconv.demo.scenes.render import ELEVATION, Rendering, render
from zeroconv.demo.scenes.world import SHAPES, draw_scenes
from zeroconv.preprocessors.catalogue import preprocessors
from zeroconv.preprocessors.normal_maps import CONVENTIONS, DIRECTX, OPENGL, V10, V11
from zeroconv.preprocessors.running import preprocess

torch.set_num_threads(1)

SIZE = 192
NORMAL_METHODS = [method for method in preprocessors().values() if method.hint == "normals"]


@pytest.fixture(scope="module")
def ball() -> Rendering:
    scenes = draw_scenes(1, seed=3, pair_share=0.0)
    scenes.shape[:], scenes.present[:, 0], scenes.present[:, 1] = list(SHAPES).index("ball"), True, False
    scenes.centre[:, 0], scenes.radius[:, 0] = torch.tensor([0.1, 0.0]), 0.5
    return render(scenes, SIZE, samples=1)


def inside(rendering: Rendering) -> torch.Tensor:
    """The ball without its border, where a slope is between two surfaces."""
    ball = (rendering.label == 1).float()[:, None]
    return -torch.nn.functional.max_pool2d(-ball, 15, stride=1, padding=7)[0, 0] > 0.5


def expected(rendering: Rendering, convention: str) -> torch.Tensor:
    """The colors (H, W, 3) by the words of each convention; the renderer's axes are right, up, to the viewer."""
    right, up, front = rendering.normal[0]
    directions = {
        V11: (-right, up, front),
        V10: (front, up, -right),
        OPENGL: (right, up, front),
        DIRECTX: (right, -up, front),
    }
    return torch.stack(directions[convention], dim=-1) / 2 + 0.5


def relief(rendering: Rendering) -> float:
    """What the depth's whole range is of the picture's side: known from the floor, whose slope is the camera's."""
    column = rendering.depth[0, :, 0]
    return float(1 / torch.tan(torch.tensor(ELEVATION)) / (column[-1] - column[0]) * (SIZE - 1) / SIZE)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_normals_from_depth_are_those_of_the_ball(ball, convention):
    picture = ball.depth[..., None].expand(-1, -1, -1, 3)
    settings = {"relief": relief(ball), "convention": convention}
    hint = preprocess(preprocessors()["normals_from_depth"], picture, lambda name: None, settings).image[0]
    wrong = (hint - expected(ball, convention))[inside(ball)].abs()
    assert inside(ball).sum() > 2000
    assert wrong.max() < 0.03


class KnownNormals(torch.nn.Module):
    """A network that tells the scene's normals as all here do: to the left, up and to the viewer."""

    def __init__(self, rendering: Rendering, channels: slice) -> None:
        super().__init__()
        right, up, front = rendering.normal[0]
        self.normals = torch.nn.Parameter(torch.stack([-right, up, front])[None])
        self.channels = channels

    def forward(self, images, *camera):
        unlike = torch.full_like(self.normals, 0.3)
        return torch.cat([unlike, self.normals, unlike], 1)[:, self.channels].expand(len(images), -1, -1, -1)


CHANNELS = {"normal_bae": slice(3, 7), "dsine_normals": slice(3, 6), "metric3d_normals": slice(2, 6)}
"""The outputs of each network: before the normal Metric3D's has the depth, behind it NormalBAE's its concentration."""


@pytest.mark.parametrize("method", CHANNELS)
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_normals_of_a_network_come_in_every_convention(ball, convention, method):
    settings = {"network_size": 0, "convention": convention}
    network = KnownNormals(ball, CHANNELS[method])
    picture = torch.rand(2, SIZE, SIZE, 3)
    hint = preprocess(preprocessors()[method], picture, lambda name: network, settings).image
    torch.testing.assert_close(hint[1], expected(ball, convention), atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", NORMAL_METHODS, ids=lambda method: method.id)
def test_all_methods_offer_the_same_conventions(method):
    (parameter,) = (parameter for parameter in method.parameters if parameter.name == "convention")
    assert parameter.choices == CONVENTIONS

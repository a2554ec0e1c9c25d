"""The demonstration's world: captions say what is there, pictures show it where it is."""

import math

import pytest
import torch
from scipy.spatial import ConvexHull
from zeroconv.demo.scenes.hints import depth, edges, object_mask, scribble, segmentation
from zeroconv.demo.scenes.render import CUBE, ELEVATION, render
from zeroconv.demo.scenes.world import COLORS, FLOORS, SHAPES, Scenes, captions, draw_scenes, is_held_out

SIZE = 64


def one(shape: str, radius: float = 0.4, turn: float = 0.3, centre: tuple[float, float] = (0.1, -0.1)) -> Scenes:
    """A scene with a single red object on a white floor, lit from above left."""
    return Scenes(
        present=torch.tensor([[True, False]]),
        shape=torch.tensor([[SHAPES.index(shape), 0]]),
        color=torch.zeros(1, 2, dtype=torch.long),
        floor=torch.zeros(1, dtype=torch.long),
        centre=torch.tensor([[centre, (0.0, 0.0)]]),
        radius=torch.tensor([[radius, 0.1]]),
        turn=torch.tensor([[turn, 0.0]]),
        light=torch.nn.functional.normalize(torch.tensor([[-0.5, 1.0, 0.6]])),
    )


def projected(points: list[tuple[float, float, float]]) -> list[tuple[float, float]]:
    """World points seen from `ELEVATION` above the horizon, without perspective."""
    return [(x, y * math.cos(ELEVATION) - z * math.sin(ELEVATION)) for x, y, z in points]


def test_captions_read_left_to_right() -> None:
    scenes = draw_scenes(200, 3)
    for index, caption in enumerate(captions(scenes)):
        words = caption.split()
        assert words[-1] == "floor"
        assert words[-2] == list(FLOORS)[int(scenes.floor[index])]
        assert words[1] in COLORS
        assert words[2] == SHAPES[int(scenes.shape[index, 0])]
        assert ("and" in words) == bool(scenes.present[index, 1])
        if scenes.present[index, 1]:
            assert scenes.centre[index, 0, 0] < scenes.centre[index, 1, 0]


def test_a_seed_gives_the_same_scenes() -> None:
    first, again, other = draw_scenes(50, 1), draw_scenes(50, 1), draw_scenes(50, 2)
    assert torch.equal(first.centre, again.centre)
    assert not torch.equal(first.centre, other.centre)


def test_one_caption_in_sixteen_is_held_out() -> None:
    every = [f"a {c} {s} on a {f} floor" for c in COLORS for s in SHAPES for f in FLOORS]
    assert 0 < sum(map(is_held_out, every)) < len(every) / 8


def test_a_ball_is_a_disc_of_its_radius() -> None:
    label = render(one("ball"), 128).label[0]
    assert label.eq(1).sum().item() / 128**2 * 4 == pytest.approx(math.pi * 0.4**2, rel=0.02)
    rows, columns = label.nonzero(as_tuple=True)
    assert (columns.float().mean() + 0.5) / 64 - 1 == pytest.approx(0.1, abs=0.01)
    assert 1 - (rows.float().mean() + 0.5) / 64 == pytest.approx(-0.1, abs=0.01)


def test_a_cube_covers_the_hull_of_its_projected_corners() -> None:
    half, cosine, sine = 0.4 * CUBE, math.cos(0.3), math.sin(0.3)
    corners = [(x, y, z) for x in (-half, half) for y in (-half, half) for z in (-half, half)]
    turned = [(cosine * x + sine * z, y, cosine * z - sine * x) for x, y, z in corners]
    covered = render(one("cube"), 128).label[0].eq(1).sum().item() / 128**2 * 4
    assert covered == pytest.approx(ConvexHull(projected(turned)).volume, rel=0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_object_stands_nearer_than_the_floor_behind_it(shape: str) -> None:
    scene = one(shape)
    rendering = render(scene, SIZE)
    mask = object_mask(rendering)[0]
    empty = render(Scenes(**{**vars(scene), "present": torch.zeros(1, 2, dtype=torch.bool)}), SIZE)
    # Both are scaled to their own range, so compare within columns that hold the object's silhouette only.
    assert mask.any()
    assert torch.allclose(rendering.normal.norm(dim=1), torch.ones(1, SIZE, SIZE), atol=1e-4)
    assert (rendering.depth[0] - empty.depth[0])[mask].median() > 0
    facing = rendering.normal[0, 2][mask]
    assert (facing > -1e-3).all(), "every visible surface faces the camera"


def test_a_scene_looks_the_same_alone_and_in_a_batch() -> None:
    scenes = draw_scenes(12, 5)
    together = render(scenes, SIZE)
    for index in range(12):
        alone = render(scenes[index : index + 1], SIZE)
        assert torch.allclose(alone.image[0], together.image[index], atol=1e-5)
        assert torch.equal(alone.label[0], together.label[index])


def test_hints_show_outlines_creases_and_nothing_on_the_floor() -> None:
    ball, cube = render(one("ball"), SIZE), render(one("cube", turn=math.pi / 4), SIZE)
    inside = torch.nn.functional.max_pool2d((~object_mask(cube)).float()[:, None], 5, 1, 2)[:, 0] == 0
    assert edges(cube)[0, 0][inside[0]].any(), "a cube has creases"
    well_inside = torch.nn.functional.max_pool2d((~object_mask(ball)).float()[:, None], 9, 1, 4)[:, 0] == 0
    assert not scribble(ball)[0, 0][well_inside[0]].any(), "a scribbled ball is its outline"
    around = torch.nn.functional.max_pool2d(object_mask(ball).float()[:, None], 9, 1, 4)[:, 0] == 0
    assert not edges(ball)[0, 0][around[0]].any()
    assert depth(ball).amin() == pytest.approx(0, abs=0.02)
    assert depth(ball).amax() == pytest.approx(1, abs=0.02)
    assert torch.equal(segmentation(ball)[:, 0].bool(), object_mask(ball))

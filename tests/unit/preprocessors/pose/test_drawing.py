"""Drawings of poses: which point has which color where, in every style."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from zeroconv.preprocessors.pose.drawing import animal, face_mesh
from zeroconv.preprocessors.pose.drawing.body_25 import body_25
from zeroconv.preprocessors.pose.drawing.canvas import SKELETONS, PoseStyle
from zeroconv.preprocessors.pose.drawing.poses import draw_poses
from zeroconv.preprocessors.pose.keypoints import Keypoint, Pose

SIDE = 800
STANDING = (
    (400, 100), (400, 180), (320, 180), (280, 300), (260, 420), (480, 180), (520, 300), (540, 420), (350, 420),
    (340, 560), (330, 700), (450, 420), (460, 560), (470, 700), (385, 85), (415, 85), (365, 95), (435, 95),
)  # fmt: skip
FEET = ((520, 740), (545, 735), (455, 730), (280, 740), (255, 735), (345, 730))
"""Left big toe, small toe and heel, then the right foot's."""


def points(places):
    return tuple(Keypoint(x / SIDE, y / SIDE) for x, y in places)


PERSON = Pose(body=points(STANDING), feet=points(FEET))


def drawn(pose, **style):
    return (draw_poses([pose], SIDE, SIDE, PoseStyle(**style)) * 255).round().byte().numpy()


def color_at(picture, x, y):
    return tuple(picture[round(y), round(x)].tolist())


def colors_of(picture):
    return {tuple(color) for color in np.unique(picture.reshape(-1, 3)[picture.any(-1).ravel()], axis=0).tolist()}


def middle(one, other, part=0.5):
    return tuple(a + part * (b - a) for a, b in zip(one, other, strict=True))


def test_openpose_with_feet_adds_nothing_but_six_dots():
    plain, feet = drawn(PERSON), drawn(PERSON, skeleton="openpose_feet")
    changed = (plain != feet).any(-1)
    places = np.argwhere(changed)[:, None, ::-1]
    assert np.linalg.norm(places - np.array(FEET), axis=-1).min(1).max() <= 5
    assert [color_at(feet, *place) for place in FEET] == [
        (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0)]  # fmt: skip


def test_body_25_has_the_middle_of_the_hips_and_joins_the_feet():
    picture = drawn(PERSON, skeleton="body_25")
    hips = middle(STANDING[8], STANDING[11])
    assert color_at(picture, *hips) == (255, 0, 0)
    # The line from the neck has the color of the hips, that to the right hip its own, as the shin that of the ankle.
    assert color_at(picture, *middle(STANDING[1], hips)) == (255, 0, 0)
    assert color_at(picture, *middle(hips, STANDING[8])) == (0, 255, 85)
    assert color_at(picture, *middle(STANDING[9], STANDING[10])) == (0, 255, 255)
    assert color_at(picture, *middle(STANDING[13], FEET[0])) == (0, 0, 255)
    assert color_at(picture, *middle(STANDING[10], FEET[3])) == (0, 255, 255)


def test_body_25_reads_as_openpose_numbers_it():
    numbered = body_25(PERSON)
    assert len(numbered) == 25
    assert [numbered[index] for index in (0, 7, 9, 14, 15, 18, 19, 24)] == [
        *(PERSON.body[index] for index in (0, 7, 8, 13, 14, 17)), PERSON.feet[0], PERSON.feet[5]]  # fmt: skip
    assert body_25(Pose(body=PERSON.body[:9]))[8] is None


def test_lines_of_body_25_are_as_wide_as_the_person_is_large():
    """A joint is 1/75 of the picture's side, by the part of it that the person fills; a line three quarters of that."""
    small = Pose(body=tuple(Keypoint(0.45 + point.x / 10, 0.45 + point.y / 10) for point in PERSON.body))
    shin = middle(STANDING[9], STANDING[10])
    row = drawn(PERSON, skeleton="body_25")[round(shin[1]), :400]
    assert row.any(-1).sum() == pytest.approx(0.75 * (740 - 85) / 75, abs=3)
    row = drawn(small, skeleton="body_25")[round(0.45 * SIDE + shin[1] / 10), :400]
    assert row.any(-1).sum() == pytest.approx(3, abs=1)


def test_coco_wholebody_tells_left_from_right_and_has_no_neck():
    fingers = [(300 + 20 * joint, 20 + 15 * finger) for finger in range(5) for joint in range(1, 5)]
    hand = points([(300, 50), *fingers])
    picture = drawn(Pose(PERSON.body, left_hand=hand, feet=PERSON.feet), skeleton="coco_wholebody")
    green, orange, blue = (0, 255, 0), (255, 128, 0), (51, 153, 255)
    assert color_at(picture, *middle(STANDING[12], STANDING[13])) == green
    assert color_at(picture, *middle(STANDING[9], STANDING[10])) == orange
    assert color_at(picture, *middle(STANDING[5], STANDING[11])) == blue
    assert color_at(picture, *middle(STANDING[13], FEET[0])) == green
    assert color_at(picture, *middle(STANDING[10], FEET[3])) == orange
    assert color_at(picture, *STANDING[1]) == blue  # the line between the shoulders alone
    assert color_at(picture, *middle(fingers[0], fingers[1])) == orange
    assert color_at(picture, *middle(fingers[18], fingers[19])) == green


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_any_part_may_be_missing_or_outside(skeleton):
    lost = Pose(tuple(None if index % 3 else Keypoint(3.0, -2.0) for index in range(18)), feet=(None, Keypoint(9, 9)))
    assert drawn(lost, skeleton=skeleton).shape == (SIDE, SIDE, 3)
    assert drawn(Pose(), skeleton=skeleton).max() == 0
    assert drawn(PERSON, skeleton=skeleton, body=False).max() == 0


ANIMAL = points([(100 + 40 * index, 60 + 43 * ((7 * index) % 17)) for index in range(17)])


def test_every_pair_of_an_animal_is_a_line_in_its_color():
    for (start, end), color in animal.LIMBS:
        only = Pose(animal=tuple(point if index in (start, end) else None for index, point in enumerate(ANIMAL)))
        picture = drawn(only)
        assert colors_of(picture) == {color}
        assert color_at(picture, *middle(*((ANIMAL[at].x * SIDE, ANIMAL[at].y * SIDE) for at in (start, end)))) == color


def test_an_animals_limbs_are_a_body_with_four_legs():
    """Eyes, nose, neck and root of the tail are joined; from both ends of the back two legs of three lines."""
    pairs = [pair for pair, _ in animal.LIMBS]
    assert {index for pair in pairs for index in pair} == set(range(17))
    for start, leg in ((3, (5, 6, 7)), (3, (8, 9, 10)), (4, (11, 12, 13)), (4, (14, 15, 16))):
        assert all(pair in pairs for pair in pairwise((start, *leg)))
    assert len(pairs) == 4 * 3 + 3 + 2


def test_contours_of_the_face_close_and_brows_do_not():
    eyes = ((face_mesh.LEFT_EYE, 16), (face_mesh.RIGHT_EYE, 16))
    for lines, edges in (((face_mesh.OVAL,), 36), *eyes, (face_mesh.LIPS, 40)):
        joined = [edge for line in lines for edge in pairwise(line)]
        assert len(joined) == len({frozenset(edge) for edge in joined}) == edges
        assert set(Counter(index for edge in joined for index in edge).values()) == {2}
    for lines in (face_mesh.LEFT_BROW, face_mesh.RIGHT_BROW):
        assert [len(line) for line in lines] == [5, 5]


def mesh(seed=0):
    places = np.random.default_rng(seed).uniform(0.1, 0.9, (478, 2))
    return tuple(Keypoint(*place) for place in places.tolist())


def test_every_part_of_the_face_has_its_color_and_the_pupils_are_squares():
    parts = {
        face_mesh.OVAL[:2]: (10, 200, 10), (263, 249): (10, 200, 180), (276, 283): (10, 220, 180),
        (33, 7): (180, 200, 10), (46, 53): (180, 220, 10), (61, 146): (10, 180, 10),
    }  # fmt: skip
    for pair, color in parts.items():
        only = tuple(point if index in pair else None for index, point in enumerate(mesh()))
        picture = drawn(Pose(face_mesh=only))
        assert colors_of(picture) == {color}
    for index, color in ((468, (250, 200, 10)), (473, (10, 200, 250))):
        only = tuple(Keypoint(0.25, 0.5) if index == at else None for at in range(478))
        picture = drawn(Pose(face_mesh=only))
        rows, columns, _ = np.nonzero(picture)
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (398, 401, 198, 201)
        assert color_at(picture, 200, 400) == color


def test_a_mesh_takes_the_place_of_the_dots_and_goes_with_the_face():
    dots = tuple(Keypoint(0.03, 0.03) for _ in range(70))
    both = Pose(face=dots, face_mesh=mesh())
    assert drawn(Pose(face=dots))[:40, :40].any()
    assert torch.equal(draw_poses([both], SIDE, SIDE), draw_poses([Pose(face_mesh=mesh())], SIDE, SIDE))
    assert drawn(both, face=False).max() == 0


def test_a_face_that_leaves_the_picture_is_drawn_as_far_as_it_is_in_it():
    corner = tuple(Keypoint(0.0, 0.0) if index in (468, 473) else Keypoint(-0.1, 2.0) for index in range(478))
    picture = drawn(Pose(face_mesh=corner))
    assert np.nonzero(picture.any(-1))[0].max() == 1

"""Poses of a film: selected, smoothed, retargeted. Properties, and the formula of the 1 Euro filter's paper."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeroconv.preprocessors.pose.keypoints import Keypoint, Pose, PoseFrame
from zeroconv.preprocessors.pose.retarget import ANCHORS, PARENTS, PROPORTIONS, Body, proportions, retarget
from zeroconv.preprocessors.pose.select import Selection, select_poses
from zeroconv.preprocessors.pose.smoothing import Smoothing, smooth_poses, without_trembling
from zeroconv.preprocessors.pose.tracking import track_people

HEIGHT, WIDTH = 480, 640
STANDING = (
    (0.5, 0.2), (0.5, 0.3), (0.45, 0.3), (0.43, 0.4), (0.42, 0.5), (0.55, 0.3), (0.57, 0.4), (0.58, 0.5), (0.47, 0.55),
    (0.46, 0.7), (0.46, 0.85), (0.53, 0.55), (0.54, 0.7), (0.54, 0.86), (0.49, 0.18), (0.51, 0.18), (0.48, 0.19),
    (0.52, 0.19),
)  # fmt: skip


def person(right=0.0, down=0.0, size=1.0, score=1.0, points=STANDING):
    body = tuple(Keypoint(0.5 + size * (x - 0.5) + right, 0.5 + size * (y - 0.5) + down, score) for x, y in points)
    hand = tuple(Keypoint(body[4].x + 0.002 * i, body[4].y + 0.003 * i, score) for i in range(21))
    face = tuple(Keypoint(body[0].x + 0.001 * (i - 35), body[0].y, score) for i in range(70))
    return Pose(body=body, right_hand=hand, face=face)


def film(*people):
    return [PoseFrame(HEIGHT, WIDTH, tuple(each) if isinstance(each, list) else (each,)) for each in people]


def pixels(pose):
    return np.array([(point.x * WIDTH, point.y * HEIGHT) for point in pose.body])


def all_points(pose):
    return np.array([point for part in (pose.body, pose.right_hand, pose.face) for point in part])


# select


@pytest.mark.parametrize(
    ("order", "first"), [("as found", 0), ("largest", 1), ("leftmost", 2), ("rightmost", 0), ("most central", 1)]
)
def test_the_first_person_by_order(order, first):
    people = [person(0.3, size=0.5), person(0.05, size=0.8), person(-0.3, size=0.4)]
    (frame,) = select_poses(film(people), Selection(order=order, count=1))
    assert frame.poses == (people[first],)


def test_parts_and_points_by_score():
    certain, unsure = person(), person(0.2, score=0.3)
    (frame,) = select_poses(film([certain, unsure]), Selection(hands=False, face=False, minimum_score=0.5))
    assert frame.poses == (Pose(body=certain.body),), "nothing is left of the other"


@given(st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=4))
def test_selecting_all_changes_nothing(places):
    frames = film([person(right, size=0.5) for right in places])
    assert select_poses(frames, Selection()) == frames


# who is who


def test_people_who_change_places_in_the_list_stay_who_they_are():
    left, right = [person(-0.25 + 0.01 * i, size=0.5) for i in range(6)], [person(0.25, size=0.5)] * 6
    frames = film(*([a, b] if i % 2 else [b, a] for i, (a, b) in enumerate(zip(left, right, strict=True))))
    tracks = track_people(frames)
    assert sorted([list(track.poses.values()) for track in tracks], key=lambda poses: poses[0].body[0].x) == [
        left,
        right,
    ]


def test_a_person_who_is_away_for_longer_is_another():
    frames = film(person(), [], [], person())
    assert len(track_people(frames, patience=1)) == 2
    assert len(track_people(frames, patience=2)) == 1


# smooth


def test_a_still_pose_stays_still():
    frames = film(*[person()] * 9)
    for before, after in zip(frames, smooth_poses(frames, Smoothing()), strict=True):
        assert np.allclose(all_points(before.poses[0]), all_points(after.poses[0]), atol=1e-12)


@pytest.mark.parametrize("speed", [0.0005, 0.004])
def test_a_constant_motion_keeps_its_speed_and_does_not_lag(speed):
    frames = film(*(person(speed * i - 0.2, size=0.5) for i in range(120)))
    smoothed = smooth_poses(frames, Smoothing(beta=0.0))
    given, got = (np.array([frame.poses[0].body[4].x for frame in each])[45:75] for each in (frames, smoothed))
    assert np.allclose(np.diff(got), speed, rtol=1e-3)
    assert np.allclose(got, given, atol=2e-2 * speed)


def test_trembling_goes():
    noise = np.random.default_rng(0).normal(0, 0.004, (100, 2))
    frames = film(*(person(*shift) for shift in noise))
    smoothed = smooth_poses(frames, Smoothing(cutoff=0.5, beta=0.0))
    moved = [np.array([frame.poses[0].body[4][:2] for frame in each]).std(axis=0) for each in (frames, smoothed)]
    assert (moved[1] < 0.4 * moved[0]).all()


def test_gaps_up_to_the_limit_are_filled_with_what_lies_between():
    whole = [person(0.01 * i) for i in range(9)]
    without_wrist = Pose(body=tuple(None if i == 4 else point for i, point in enumerate(whole[4].body)))
    frames = film(*whole[:2], [], [], without_wrist, *whole[5:])
    frames[4] = PoseFrame(HEIGHT, WIDTH, (without_wrist,))
    filled = smooth_poses(frames, Smoothing(cutoff=1e6, beta=0.0, fill=3))
    assert all(len(frame.poses) == 1 for frame in filled)
    for number, frame in enumerate(filled):
        assert np.allclose(np.array(frame.poses[0].body), np.array(whole[number].body), atol=1e-5)
    kept = smooth_poses(frames, Smoothing(fill=1))
    assert [len(frame.poses) for frame in kept] == [1, 1, 0, 0, 1, 1, 1, 1, 1], "two frames are more than one"
    assert kept[4].poses[0].body[4] is None, "its neighbors on one side are another track's"


def test_the_filter_is_the_papers():
    """Written out: equations 1 to 5, forwards and backwards."""
    values = np.random.default_rng(1).normal(size=(20, 2)).cumsum(axis=0)
    cutoff, beta, rate = 0.8, 2.0, 30.0

    def alpha(frequency):
        tau = 1 / (2 * math.pi * frequency)
        return 1 / (1 + tau * rate)

    def forwards(xs):
        hat, speed, out = xs[0], np.zeros(2), [xs[0]]
        for i in range(1, len(xs)):
            derivative = (xs[i] - xs[i - 1]) * rate
            speed = alpha(1.0) * derivative + (1 - alpha(1.0)) * speed
            a = alpha(cutoff + beta * np.hypot(*speed))
            hat = a * xs[i] + (1 - a) * hat
            out.append(hat)
        return np.array(out)

    expected = (forwards(values) + forwards(values[::-1])[::-1]) / 2
    assert np.allclose(without_trembling(values, Smoothing(cutoff, beta, rate)), expected, atol=1e-12)


@pytest.mark.parametrize("wrong", [{"cutoff": 0.0}, {"frame_rate": -1.0}, {"beta": float("nan")}])
def test_settings_that_make_no_filter_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} of Smooth Poses"):
        Smoothing(**wrong)


# retarget


def turned(angle):
    """The person with the arms at an angle: another posture of the same body."""
    points = [list(point) for point in STANDING]
    for shoulder, elbow, wrist in ((2, 3, 4), (5, 6, 7)):
        for joint in (elbow, wrist):
            x, y = (
                (points[joint][0] - STANDING[shoulder][0]) * WIDTH,
                (points[joint][1] - STANDING[shoulder][1]) * HEIGHT,
            )
            points[joint][0] = STANDING[shoulder][0] + (x * math.cos(angle) - y * math.sin(angle)) / WIDTH
            points[joint][1] = STANDING[shoulder][1] + (x * math.sin(angle) + y * math.cos(angle)) / HEIGHT
    return person(points=points)


@pytest.mark.parametrize("anchor", ANCHORS)
def test_retargeting_to_oneself_is_identity(anchor):
    frames = film(*(turned(0.2 * i) for i in range(5)))
    for before, after in zip(frames, retarget(frames, frames, anchor), strict=True):
        assert np.allclose(all_points(before.poses[0]), all_points(after.poses[0]), atol=1e-9)


@pytest.mark.parametrize("name", PROPORTIONS)
@pytest.mark.parametrize("anchor", ANCHORS)
def test_limbs_keep_their_directions_and_get_their_lengths(name, anchor):
    body, frames = proportions(name), film(turned(0.7))
    (frame,) = retarget(frames, body, anchor)
    before, after = pixels(frames[0].poses[0]), pixels(frame.poses[0])
    for end, begin in PARENTS.items():
        assert np.allclose(after[end] - after[begin], body.factors[end] * (before[end] - before[begin]), atol=1e-6)
    held = {"hips": [8, 11], "feet": [13], "neck": [1]}[anchor]
    assert np.allclose(after[held].mean(axis=0), before[held].mean(axis=0), atol=1e-6), "the lower foot is the left one"
    hand = frame.poses[0].right_hand
    assert np.allclose(hand[0][:2], frame.poses[0].body[4][:2], atol=1e-9), "the hand stays at its wrist"
    for part, factor in (("right_hand", body.arms), ("face", body.head)):
        old, new = (np.array(getattr(each.poses[0], part))[:, :2] for each in (frames[0], frame))
        assert np.allclose(np.ptp(new, axis=0), factor * np.ptp(old, axis=0), atol=1e-9), "it grows with its limbs"


def test_a_reference_of_any_size_gives_its_proportions_and_nobody_grows():
    reference = retarget(film(person()), proportions("child"), "hips")
    small = [PoseFrame(300, 400, frame.poses) for frame in reference]
    frames = film(person(0.1, 0.05, 0.6))
    (frame,) = retarget(frames, small, "feet")
    before, after, wanted = (pixels(each.poses[0]) for each in (frames[0], frame, reference[0]))

    def lengths(points):
        return np.array([math.dist(points[end], points[begin]) for end, begin in PARENTS.items()])

    assert lengths(after).sum() == pytest.approx(lengths(before).sum())
    assert np.allclose(lengths(after) / lengths(after).sum(), lengths(wanted) / lengths(wanted).sum())


def test_what_is_not_in_the_picture_stays_away_and_the_rest_follows():
    half = tuple(None if index in (1, 9, 13) else point for index, point in enumerate(person().body))
    (frame,) = retarget(film(Pose(body=half)), proportions("child"), "hips")
    assert [point is None for point in frame.poses[0].body] == [point is None for point in half]
    (alone,) = retarget(film(Pose(face=person().face)), proportions("child"), "hips")
    assert alone.poses[0].face == person().face, "without a body nothing is known"


def test_a_reference_without_a_body_is_refused():
    with pytest.raises(ValueError, match="shows nobody's body"):
        retarget(film(person()), film(Pose(face=person().face)), "hips")


def test_feet_follow_their_ankles_and_a_mesh_the_nose():
    """Retargeted to itself nobody changes; longer shins carry each foot along, larger by as much."""
    feet = tuple(Keypoint(0.3 + 0.02 * index, 0.95) for index in range(6))
    mesh = tuple(Keypoint(0.5 + index / 5000, 0.2) for index in range(478))
    frame = PoseFrame(400, 400, (Pose(body=person().body, feet=feet, face_mesh=mesh),))
    (same,) = retarget([frame], Body({}))
    assert np.allclose(same.poses[0].feet, feet)
    assert np.allclose(same.poses[0].face_mesh, mesh)
    (longer,) = retarget([frame], Body({10: 2.0, 13: 2.0}), anchor="neck")
    before, after = frame.poses[0], longer.poses[0]
    for foot, ankle in ((slice(0, 3), 13), (slice(3, 6), 10)):
        for old, new in zip(before.feet[foot], after.feet[foot], strict=True):
            assert new.x - after.body[ankle].x == pytest.approx(2 * (old.x - before.body[ankle].x))
            assert new.y - after.body[ankle].y == pytest.approx(2 * (old.y - before.body[ankle].y))
    assert np.allclose(after.face_mesh, mesh)


def test_animals_are_selected_with_bodies_and_stay_as_they_are():
    dog = Pose(animal=tuple(Keypoint(0.1 * (index % 5), 0.05 * index, 0.5) for index in range(17)))
    frame = PoseFrame(400, 400, (dog,))
    assert retarget([frame], Body({10: 2.0}))[0].poses[0].animal == dog.animal
    assert select_poses([frame], Selection(hands=False, face=False))[0].poses == (dog,)
    assert select_poses([frame], Selection(body=False))[0].poses == ()

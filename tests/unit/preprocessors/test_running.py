"""Chunks, progress, interruption, memory and masks of a run."""

from threading import Event

import pytest
import torch
from zeroconv.preprocessors.description import Hint, Parameter, Preprocessor
from zeroconv.preprocessors.methods.inpaint import INPAINT
from zeroconv.preprocessors.pose.keypoints import Keypoint, Pose, PoseFrame
from zeroconv.preprocessors.running import Options, preprocess
from zeroconv.preprocessors.settings_text import parse_settings

torch.set_num_threads(1)

LEVEL = Parameter("level", "Level", 0.5, "", minimum=0.0, maximum=1.0, step=0.1)
COUNT = Parameter("count", "Count", 3, "", minimum=1, maximum=9, step=1)
SAFE = Parameter("safe", "Safe", False, "")
KIND = Parameter("kind", "Kind", "a", "", choices=("a", "b"))


def no_networks(name: str) -> torch.nn.Module:
    raise KeyError(name)


def method(run, **fields) -> Preprocessor:
    return Preprocessor("test", "Test", "other", "", lambda inputs: Hint(run(inputs.images)), **fields)


def images(batch: int) -> torch.Tensor:
    return torch.rand(batch, 16, 24, 3, generator=torch.Generator().manual_seed(batch))


@pytest.mark.parametrize("chunk", [1, 2, 5, 16])
def test_chunks_change_nothing(chunk):
    sizes = []

    def run(part):
        sizes.append(len(part))
        return 1 - part

    batch = images(5)
    hints = preprocess(method(run), batch, no_networks, options=Options(chunk=chunk)).image
    assert torch.equal(hints, 1 - batch)
    assert sum(sizes) == 5
    assert max(sizes) == min(chunk, 5)


def test_progress_is_told_before_between_and_after():
    seen = []
    options = Options(chunk=2, progress=lambda done, total: seen.append((done, total)))
    preprocess(method(lambda i: i), images(5), no_networks, options=options)
    assert list(dict.fromkeys(seen)) == [(0, 5), (2, 5), (4, 5), (5, 5)]


def test_an_interrupt_stops_before_the_next_chunk():
    runs = []

    def stop_after_two(done, total):
        if done == 2:
            raise InterruptedError

    def run(part):
        runs.append(1)
        return part

    with pytest.raises(InterruptedError):
        preprocess(method(run), images(5), no_networks, options=Options(progress=stop_after_two))
    assert len(runs) == 2


def test_short_memory_halves_the_chunk_and_loses_nothing():
    tried = []

    def run(part):
        tried.append(len(part))
        if len(part) > 2:
            raise torch.cuda.OutOfMemoryError("full")
        return part * 0.5

    batch = images(7)
    hints = preprocess(method(run), batch, no_networks, options=Options(chunk=16)).image
    assert torch.equal(hints, batch * 0.5)
    assert tried == [7, 3, 1, 1, 1, 1, 1, 1, 1]


def test_one_image_that_does_not_fit_is_an_error():
    def run(part):
        raise torch.cuda.OutOfMemoryError("full")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        preprocess(method(run), images(1), no_networks)


def test_other_errors_are_not_swallowed():
    def run(part):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        preprocess(method(run), images(2), no_networks)


def test_the_input_is_left_as_it_was():
    batch = images(2)
    before = batch.clone()
    preprocess(method(lambda i: i.mul(0)), batch, no_networks)
    assert torch.equal(batch, before)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"level": 1.5}, "level"),
        ({"level": float("nan")}, "level"),
        ({"other": 1}, "other"),
        ({"kind": "c"}, "kind"),
        ({"count": 0}, "count"),
    ],
)
def test_wrong_settings_are_named(given, word):
    with pytest.raises(ValueError, match=word):
        method(lambda i: i, parameters=(LEVEL, COUNT, KIND)).settings(given)


def test_settings_are_read_from_text_in_their_types():
    four = method(lambda i: i, parameters=(LEVEL, COUNT, SAFE, KIND))
    assert parse_settings(four, "level=0.25, count = 4\nsafe=yes; kind=b") == {
        "level": 0.25,
        "count": 4,
        "safe": True,
        "kind": "b",
    }
    assert parse_settings(four, "  ") == {}
    for wrong in ("level", "level=high", "count=1.5", "safe=maybe", "nothing=1"):
        with pytest.raises(ValueError, match=wrong.split("=")[0]):
            parse_settings(four, wrong)


def test_masked_pixels_are_minus_one_and_the_others_untouched():
    batch = images(2)
    mask = torch.zeros(16, 24)
    mask[4:8, 5:9] = 1
    hint = preprocess(INPAINT, batch, no_networks, options=Options(mask=mask)).image
    inside = mask.bool().expand(2, -1, -1)
    assert (hint[inside] == -1).all()
    assert torch.equal(hint[~inside], batch[~inside])


def test_a_mask_of_another_size_is_fitted_and_one_for_each_image_is_used():
    masks = torch.zeros(2, 32, 48)
    masks[1, :, 24:] = 1
    hint = preprocess(INPAINT, images(2), no_networks, options=Options(mask=masks)).image
    assert (hint[0] >= 0).all()
    assert (hint[1, :, 12:] == -1).all()
    assert (hint[1, :, :12] >= 0).all()


def test_a_missing_or_ill_fitting_mask_is_an_error():
    with pytest.raises(ValueError, match="needs a mask"):
        preprocess(INPAINT, images(1), no_networks)
    with pytest.raises(ValueError, match="mask"):
        preprocess(INPAINT, images(2), no_networks, options=Options(mask=torch.zeros(3, 16, 24)))


def test_the_image_of_the_user_is_never_changed():
    """Every method that needs no weights, on a picture that needs neither clamping nor resizing."""
    from zeroconv.preprocessors.catalogue import preprocessors

    picture = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(3))
    kept, mask = picture.clone(), torch.ones(64, 64)
    for each in preprocessors().values():
        if not each.weights:
            hint = preprocess(each, picture, no_networks, options=Options(mask=mask)).image
            hint.fill_(0.5)  # nor is the hint the picture's own memory
            assert torch.equal(picture, kept), each.id


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_labels_and_poses_of_chunks_come_together_at_the_size_of_the_hint(chunk):
    """A method that tells the grey level of every pixel as its class, and one person in the middle of each image."""
    middle = Pose(body=(Keypoint(0.5, 0.5),))

    def run(inputs):
        count, height, width = inputs.images.shape[:3]
        labels = inputs.images[..., 0].mul(255).long()
        return Hint(inputs.images, labels, [PoseFrame(height, width, (middle,))] * count)

    each = Preprocessor("test", "Test", "segmentation", "", run, multiple_of=32)
    batch = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 32, 48, 3) / 255
    for options, size in ((Options(16, chunk=chunk), (16, 24)), (Options(16, "input", chunk=chunk), (32, 48))):
        hint = preprocess(each, batch, no_networks, options=options)
        assert hint.image.shape == (5, *size, 3)
        assert torch.equal(hint.labels, torch.arange(5).view(5, 1, 1).expand(5, *size))
        assert hint.poses == [PoseFrame(*size, (middle,))] * 5


def test_a_cancel_leaves_a_method_in_the_middle():
    """OpenCV and numpy look at nothing while they run. This method waits until the test is over."""
    over, asked = Event(), []

    def cancel_at_the_third_question(done, total):
        asked.append(done)
        if len(asked) == 3:
            raise InterruptedError

    def run(part):
        over.wait()
        return part

    try:
        with pytest.raises(InterruptedError):
            preprocess(method(run), images(2), no_networks, options=Options(progress=cancel_at_the_third_question))
    finally:
        over.set()

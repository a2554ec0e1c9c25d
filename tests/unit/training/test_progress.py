"""What a training tells of itself while it runs."""

import pytest
from zeroconv.training.report import progress
from zeroconv.training.report.progress import Meter


def test_time_left_counts_the_samples_between_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes one second, and after each tenth a sample takes twenty: 30 s for ten steps."""
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    meter = Meter()
    for step in range(1, 100):
        now += 1.0
        meter.read(step, 400, loss=0.5)
        if step % 10 == 0:
            now += 20.0
    after = 300 / 10 * 30
    assert meter.read(100, 400, loss=0.5).remaining == pytest.approx(after, rel=0.1)

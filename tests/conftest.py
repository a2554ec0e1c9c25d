"""One ComfyUI server for all tests that need one."""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

# Small tensors gain nothing from more threads, and on a busy machine threads that wait for each other lose much.
torch.set_num_threads(1)

# Where the tests run in a shell's background, Ctrl+C is ignored; the commands that they start would ignore it too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What a busy machine takes for an example, or to draw one, says nothing of the code. How many are drawn stays a check.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("any machine")

sys.path.insert(0, str(Path(__file__).resolve().parent))

from support.checkpoints import model_files
from zeroconv.comfy_client.server import REPOSITORY, ComfyServer, comfyui_directory


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A running ComfyUI with this pack, the test pack, and generated model files."""
    if not (comfyui_directory() / "main.py").is_file():
        pytest.fail(f"No ComfyUI in {comfyui_directory()}: run `make test`, or `make setup` once.")
    packs = {"zeroconv-test-support": REPOSITORY / "tests" / "support" / "pack"}
    running = ComfyServer(tmp_path_factory.mktemp("comfyui"), packs)
    for place, file in model_files():
        (running.base / "models" / place).symlink_to(file)
    with running:
        yield running


MOVED = "moved"


@pytest.fixture
def moved_enough(record_property: Callable[[str, object], None]) -> Callable[[dict[str, float], float], None]:
    """Check that each input moves a result by so much at least, and say at the end of all tests how far it does."""

    def check(moved: dict[str, float], least: float) -> None:
        record_property(MOVED, {name: float(size) for name, size in moved.items()})
        assert {name: size for name, size in moved.items() if not size >= least} == {}

    return check


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How far each input moves what is compared with other implementations, relative to it."""
    reports = terminalreporter.stats.get("passed", [])
    lines = [(report.nodeid, value) for report in reports for name, value in report.user_properties if name == MOVED]
    if lines:
        terminalreporter.section("how far inputs move what is compared")
    for test, moved in sorted(lines):
        sizes = ", ".join(f"{name} {size:.1e}" for name, size in moved.items())
        terminalreporter.write_line(f"{test.removeprefix('tests/')}: {sizes}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show the end of the server's log below a failing test that used the server."""
    outcome = yield
    report = outcome.get_result()
    running = getattr(item, "funcargs", {}).get("server")
    if report.when == "call" and report.failed and isinstance(running, ComfyServer):
        report.sections.append(("ComfyUI log, last lines", running.log()[-4000:]))

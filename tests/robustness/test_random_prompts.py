"""A few prompts by chance through the server of the tests; `make robustness` sends as many as the time holds."""

from collections import Counter

from robustness.prompts import SETTLED, WARM, Outcome, send, table_of
from robustness.random_prompts import put_models
from robustness.report import Budget, written
from zeroconv.comfy_client.server import ComfyServer


def test_random_prompts_end_as_they_must_and_leave_nothing(server: ComfyServer) -> None:
    folder = server.base / "models" / "controlnet"
    try:
        put_models(server.base / "models")
        table = table_of(send(server, Budget(0, WARM + 10), 0))
    finally:
        for name in ("page.safetensors", "cut.safetensors"):
            (folder / name).unlink(missing_ok=True)
    assert not table.faults, f"{table}\n{table.faults}"
    header, *rows = written("prompts")
    assert header == list(table.header), "the document shows another table: make robustness WRITE=1"
    kinds = [str(row[0]).partition(":")[0] for row in table.rows]
    assert [row[0].partition(":")[0] for row in rows] == kinds


def test_memory_that_goes_on_growing_is_a_fault() -> None:
    def faults(*resident: int) -> list[str]:
        measured = [{"tensors held, MB": 0.0, "parts and locks left": 0, "resident memory, MB": mb} for mb in resident]
        return table_of(Outcome(Counter(sampling=2 * SETTLED), measured=measured)).faults

    assert faults(1200, 1500, 1560) == []
    assert faults(1200, 1500, 1800) == ["resident memory, MB: 1200 -> 1800"]

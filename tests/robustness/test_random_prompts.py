"""A few prompts by chance through the server of the tests; `make robustness` sends as many as the time holds."""

from robustness.prompts import WARM, send, table_of
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

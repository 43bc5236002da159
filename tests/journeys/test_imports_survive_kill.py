"""An import continues at once after its server was killed, from the parts that are stored."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.running import RunningServer
from tests.server.harness import ApiCaller, hash_of, make_model_file
from tests.server.imports.fake_sources import run_fake_sources
from tests.waiting import wait_until

PART = 5_242_880


def test_import_server_killed_in_the_middle_continues_by_range_before_its_lease_ends(tmp_path: Path) -> None:
    content = make_model_file("large", 6 * PART)
    has_half, may_go_on = threading.Event(), threading.Event()

    def wait_at_half(sent: int) -> None:
        if sent >= 3 * PART + 500_000:
            has_half.set()
            may_go_on.wait(120)

    with run_fake_sources() as fakes:
        hosts = ",".join(fakes.settings["import_hosts"])
        fakes.storage.file, fakes.storage.on_bytes = content, wait_at_half
        with RunningServer(tmp_path / "data", part_size=str(PART), import_hosts=hosts) as server:
            draft = server.owner().post("/imports/resolve", url=f"{fakes.storage.server.address}/file/ink.safetensors")
            fields = ("url", "display_name", "model_type", "model_path")
            body = {name: draft.json()[name] for name in fields} | {"file_size": len(content)}
            import_id = server.owner().post("/imports", **body).json()["id"]
            assert has_half.wait(60)
            # Progress is stored once a second, or when the lease is renewed.
            _wait(server.owner(), import_id, lambda found: found["bytes_done"] >= 2 * PART)
            server.kill()
            may_go_on.set()
            _extend_lease(server.data_dir / "modelyard.sqlite3")
            server.start()
            owner = server.owner()
            found = _wait(owner, import_id, lambda found: found["import_state"] == "done")
            owner.wait_until_verified(found["model_id"])
            model = owner.get(f"/models/{found['model_id']}").json()
    assert (model["verification"], model["file_hash"]) == ("verified", hash_of(content))
    assert [asked is None for asked in fakes.storage.ranges] == [True, False]


def _wait(caller: ApiCaller, import_id: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait until an import meets a condition, and return it."""
    found: dict[str, Any] = {}

    def read() -> bool:
        found.update(caller.get(f"/imports/{import_id}").json())
        return condition(found)

    wait_until(read)
    return found


def _extend_lease(database: Path) -> None:
    """Let the lease of the killed server end in another century, so that nothing waits for its end."""
    with closing(sqlite3.connect(database)) as connection, connection:
        extend = "UPDATE imports SET leased_until = '2999-01-01 00:00:00.000000' WHERE lease IS NOT NULL"
        assert connection.execute(extend).rowcount == 1

"""A host that limits requests is asked by no import before the time that it names."""

from uuid import UUID

import pytest

from modelyard.server.imports.tables import ImportRow
from tests.server.imports.calls import start
from tests.server.imports.fake_sources import FakeSources
from tests.server.imports.stopped import Stopped

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("status", [429, 503])
def test_import_next_host_that_limits_requests_is_asked_once_for_three_imports(
    stopped: Stopped, fakes: FakeSources, link: str, status: int
) -> None:
    other_team, asked = stopped.registry.create_other_team(), list[str]()
    for number, caller in enumerate((stopped.owner, stopped.owner, other_team)):
        start(caller, link, model_path=f"loras/{number}.safetensors")
    fakes.huggingface.on_request = asked.append
    fakes.huggingface.refusals = [(status, {"Retry-After": "600"})] * 3
    importer = stopped.create_importer()
    assert importer.import_next() is True
    count = len(asked)
    # Another process, too.
    assert [importer.import_next(), stopped.create_importer().import_next()] == [False, False]
    assert len(asked) == count
    elsewhere = start(stopped.owner, f"{fakes.civitai_url}/models/111")
    with stopped.resources.database.writing() as session:
        # All fakes have the address of this machine.
        session.get_one(ImportRow, UUID(elsewhere)).host = "civitai.example"
    assert importer.import_next() is True
    assert stopped.owner.get(f"/imports/{elsewhere}").json()["import_state"] == "done"
    fakes.huggingface.refusals = []
    stopped.expire_leases()
    assert [importer.import_next() for _ in range(4)] == [True, True, True, False]


def test_import_next_host_with_an_error_that_names_no_time_is_asked_by_others(
    stopped: Stopped, fakes: FakeSources, link: str
) -> None:
    first = start(stopped.owner, link)
    other = start(stopped.owner, link, model_path="loras/other.safetensors")
    fakes.huggingface.refusals = [(503, {})]
    importer = stopped.create_importer()
    assert [importer.import_next(), importer.import_next()] == [True, True]
    states = [stopped.owner.get(f"/imports/{each}").json()["import_state"] for each in (first, other)]
    assert sorted(states) == ["done", "queued"]


@pytest.mark.parametrize("change", ["retry", "cancel"])
def test_import_that_met_the_limit_is_changed_by_a_person_ends_the_pause_only_by_a_retry(
    stopped: Stopped, fakes: FakeSources, link: str, change: str
) -> None:
    first = start(stopped.owner, link)
    fakes.huggingface.refusals = [(429, {"Retry-After": "600"})]
    importer = stopped.create_importer()
    importer.import_next()
    start(stopped.owner, link, model_path="loras/other.safetensors")
    assert stopped.owner.post(f"/imports/{first}/{change}").status_code == 200
    assert importer.import_next() is (change == "retry")

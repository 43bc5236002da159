"""A host that limits requests is asked by no import before the time that it names."""

from datetime import timedelta
from uuid import UUID

import pytest

from modelyard.server.imports import import_leases
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


def test_import_next_host_is_left_alone_no_longer_than_it_asks_though_its_import_waits_longer(
    stopped: Stopped, fakes: FakeSources, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_leases, "FIRST_PAUSE", timedelta(seconds=100))
    first = UUID(start(stopped.owner, link))
    fakes.huggingface.refusals = [(429, {"Retry-After": "40"})]
    stopped.create_importer().import_next()
    with stopped.resources.database.reading() as session:
        row = session.get_one(ImportRow, first)
        assert row.leased_until is not None
        assert row.held_until is not None
        assert row.leased_until - row.held_until == timedelta(seconds=60)


def test_import_next_limit_of_the_storage_behind_a_redirect_is_not_one_of_the_host(
    stopped: Stopped, fakes: FakeSources, link: str
) -> None:
    start(stopped.owner, link)
    other = start(stopped.owner, link, model_path="loras/other.safetensors")
    fakes.storage.refusals = [(429, {"Retry-After": "600"})]
    importer = stopped.create_importer()
    assert [importer.import_next(), importer.import_next()] == [True, True]
    assert stopped.owner.get(f"/imports/{other}").json()["import_state"] == "done"


@pytest.mark.parametrize(
    ("changed", "change", "is_run"), [("first", "retry", True), ("first", "cancel", False), ("other", "retry", True)]
)
def test_change_import_from_a_host_that_limits_requests_ends_the_pause_only_by_a_retry(
    stopped: Stopped, fakes: FakeSources, link: str, changed: str, change: str, is_run: bool
) -> None:
    first = start(stopped.owner, link)
    fakes.huggingface.refusals = [(429, {"Retry-After": "600"})]
    importer = stopped.create_importer()
    importer.import_next()
    other_team = stopped.registry.create_other_team()
    other = start(other_team, link, model_path="loras/other.safetensors")
    caller, import_id = (stopped.owner, first) if changed == "first" else (other_team, other)
    assert caller.post(f"/imports/{import_id}/{change}").status_code == 200
    assert importer.import_next() is is_run


def test_get_import_from_a_host_that_another_import_found_limited_says_until_when_and_why(
    stopped: Stopped, fakes: FakeSources, link: str
) -> None:
    first = start(stopped.owner, link)
    fakes.huggingface.refusals = [(429, {"Retry-After": "600"})]
    stopped.create_importer().import_next()
    other_team = stopped.registry.create_other_team()
    other = start(other_team, link)
    found = other_team.get(f"/imports/{other}").json()
    assert found["retry_at"] == stopped.owner.get(f"/imports/{first}").json()["retry_at"]
    assert found["error_code"] == "source_unavailable"
    assert "limits how often it is asked" in found["error"]
    assert other_team.get("/imports").json()["import_list"] == [found]
    stopped.expire_leases()
    found = other_team.get(f"/imports/{other}").json()
    assert (found["retry_at"], found["error"], found["error_code"]) == (None, None, None)

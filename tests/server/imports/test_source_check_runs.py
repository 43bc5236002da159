"""``/source-checks``: checks of all models for newer versions, and the job that runs them."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from modelyard.server.database.engine import NO_TEAM
from modelyard.server.database.session import Database
from modelyard.server.imports import source_check_runs
from modelyard.server.imports.source_check_runs import BATCH, MAX_TRIES, MODEL_TRIES, SourceChecker
from modelyard.server.imports.sources.lookup import open_sources
from modelyard.server.imports.tables import SourceCheckRunRow
from modelyard.server.models.tables import ModelRow
from modelyard.server.resources import build_database_url
from modelyard.wire.problems import Unavailable
from tests.server.harness import ApiCaller, make_model_file
from tests.server.imports.calls import list_actions
from tests.server.imports.fake_sources import FakeSources
from tests.server.imports.stopped import Stopped

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first pause be so long that only the test ends it."""
    monkeypatch.setattr(source_check_runs, "FIRST_PAUSE", timedelta(minutes=5))


class FailingDatabase(Database):
    """A database that does not answer its transaction with the number ``failing``, from 1."""

    def __init__(self, url: str, failing: int) -> None:
        super().__init__(url)
        self._remaining = failing

    @contextmanager
    def reading(self) -> Iterator[Session]:
        self._count()
        with super().reading() as session:
            yield session

    @contextmanager
    def writing(self, team_id: UUID = NO_TEAM) -> Iterator[Session]:
        self._count()
        with super().writing(team_id) as session:
            yield session

    def _count(self) -> None:
        self._remaining -= 1
        if self._remaining == 0:
            raise Unavailable("The database does not answer. Try again.", retry_after=2)


def create_checker(stopped: Stopped) -> SourceChecker:
    """Return a checker like that of a new process."""
    return SourceChecker(stopped.resources.database, open_sources(stopped.resources.settings))


def check_until_paused(stopped: Stopped) -> dict[str, Any]:
    """Run what is due as a new process does, and return the state of the check."""
    checker = create_checker(stopped)
    while checker.check_next():
        pass
    return read(stopped.owner)


def read(caller: ApiCaller) -> dict[str, Any]:
    answer = caller.get("/source-checks")
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["source_check_run"])


def end_pause(stopped: Stopped) -> None:
    with stopped.resources.database.writing() as session:
        for row in session.scalars(select(SourceCheckRunRow)):
            past = {"due_at": row.created_at.isoformat()}
            row.due_at, row.host_failures = (
                None,
                {host: each | past for host, each in (row.host_failures or {}).items()},
            )


def register(caller: ApiCaller, name: str, source_url: str | None) -> str:
    return caller.register(make_model_file(name), f"loras/{name}.safetensors", source_url=source_url)


def get_newer(caller: ApiCaller, model_id: str) -> str | None:
    newer = caller.get(f"/models/{model_id}").json()["newer_at_source"]
    return None if newer is None else str(newer["revision"])


def test_source_checks_all_models_of_the_team_are_checked(stopped: Stopped, fakes: FakeSources) -> None:
    owner, other = stopped.owner, stopped.registry.create_team()
    assert owner.get("/source-checks").json() == {"source_check_run": None}
    page = f"{fakes.civitai_url}/models/111?modelVersionId="
    newest, older = register(owner, "newest", f"{page}222"), register(owner, "older", f"{page}221")
    direct = register(owner, "direct", "https://models.example/direct.safetensors")
    gone = register(owner, "gone", f"{fakes.civitai_url}/models/112")
    register(owner, "own", None)
    theirs = register(other, "theirs", f"{page}221")
    started = owner.post("/source-checks")
    assert (started.status_code, started.json()["check_state"], started.json()["model_count"]) == (200, "running", 4)
    run = check_until_paused(stopped)
    counts = [run[name] for name in ("check_state", "checked_count", "newer_count", "failure_count")]
    assert counts == ["done", 4, 1, 1]
    assert [each["model_id"] for each in run["failure_list"]] == [gone]
    assert [get_newer(owner, each) for each in (newest, older, direct)] == [None, "222", None]
    assert get_newer(other, theirs) is None
    assert "source_check.started" in list_actions(owner)


def test_source_checks_started_again_while_running_is_the_same(stopped: Stopped, fakes: FakeSources) -> None:
    owner = stopped.owner
    register(owner, "ink", f"{fakes.civitai_url}/models/111")
    first, second = (owner.post("/source-checks").json() for _ in range(2))
    assert first == second
    assert check_until_paused(stopped)["check_state"] == "done"
    assert owner.post("/source-checks").json()["id"] != first["id"]
    assert list_actions(owner).count("source_check.started") == 2


def test_source_checks_after_interruption_continue_with_the_next_model(stopped: Stopped, fakes: FakeSources) -> None:
    owner = stopped.owner
    for number in range(3):
        register(owner, f"ink{number}", f"{fakes.civitai_url}/models/111")
    owner.post("/source-checks")
    first = create_checker(stopped)
    asked = list[str]()

    def stop_at_second(path: str) -> None:
        asked.append(path)
        if len(asked) == 2:
            first.interruption.stop()

    fakes.civitai.on_request = stop_at_second
    assert first.check_next() is False
    assert read(owner)["checked_count"] == 2
    assert check_until_paused(stopped)["checked_count"] == 3
    assert len(asked) == 3


def test_source_checks_source_that_limits_requests_is_asked_again_after_its_pause(
    stopped: Stopped, fakes: FakeSources
) -> None:
    owner = stopped.owner
    model_id = register(owner, "old", f"{fakes.huggingface_url}/studio/ink/blob/main/ink.safetensors")
    owner.post("/source-checks")
    fakes.huggingface.refusals = [(429, {"Retry-After": "600"})]
    waiting = check_until_paused(stopped)
    assert (waiting["check_state"], waiting["checked_count"]) == ("running", 0)
    assert waiting["retry_at"] is not None
    assert create_checker(stopped).check_next() is False
    end_pause(stopped)
    assert check_until_paused(stopped)["newer_count"] == 1
    assert get_newer(owner, model_id) is not None


def test_source_checks_source_that_always_returns_429_is_given_up_and_others_are_checked(
    stopped: Stopped, fakes: FakeSources
) -> None:
    owner = stopped.owner
    for number in range(MAX_TRIES):
        register(owner, f"ink{number}", f"{fakes.huggingface_url}/studio/ink/blob/main/ink.safetensors")
    at_civitai = register(owner, "pony", f"{fakes.civitai_url}/models/111?modelVersionId=221")
    owner.post("/source-checks")
    refusals = [(429, {"Retry-After": "600"}) for _ in range(2 * MAX_TRIES)]
    fakes.huggingface.refusals = list(refusals)
    failures = list[int]()
    for number in range(1, MAX_TRIES):
        run = check_until_paused(stopped)
        assert len(refusals) - len(fakes.huggingface.refusals) == number
        assert datetime.fromisoformat(run["retry_at"]) > datetime.now(UTC) + timedelta(minutes=5)
        failures.append(run["failure_count"])
        end_pause(stopped)
    assert failures == [number // MODEL_TRIES for number in range(1, MAX_TRIES)]
    run = check_until_paused(stopped)
    assert (run["check_state"], run["failure_count"], run["newer_count"]) == ("done", MAX_TRIES, 1)
    assert len(refusals) - len(fakes.huggingface.refusals) == MAX_TRIES
    assert len({each["error"] for each in run["failure_list"]}) == 1
    assert get_newer(owner, at_civitai) == "222"


def test_source_checks_answer_of_another_source_does_not_end_the_count_of_a_host(
    stopped: Stopped, fakes: FakeSources
) -> None:
    owner = stopped.owner
    for number in range(MODEL_TRIES):
        register(owner, f"ink{number}", f"{fakes.huggingface_url}/studio/ink/blob/main/ink.safetensors")
        register(owner, f"pony{number}", f"{fakes.civitai_url}/models/111")
    register(owner, "last", f"{fakes.huggingface_url}/studio/ink/blob/main/ink.safetensors")
    owner.post("/source-checks")
    fakes.huggingface.refusals = [(503, {}) for _ in range(2 * MAX_TRIES)]
    for _ in range(MAX_TRIES - 1):
        assert check_until_paused(stopped)["check_state"] == "running"
        end_pause(stopped)
    run = check_until_paused(stopped)
    assert (run["check_state"], run["failure_count"]) == ("done", MODEL_TRIES + 1)
    assert len(fakes.huggingface.refusals) == MAX_TRIES


def test_source_checks_answer_ends_the_count_of_a_host(stopped: Stopped, fakes: FakeSources) -> None:
    owner, database = stopped.owner, stopped.resources.database
    register(owner, "ink", f"{fakes.huggingface_url}/studio/ink/blob/main/ink.safetensors")
    owner.post("/source-checks")
    fakes.huggingface.refusals = [(503, {})]
    assert check_until_paused(stopped)["retry_at"] is not None
    end_pause(stopped)
    assert check_until_paused(stopped)["check_state"] == "done"
    with database.reading() as session:
        assert session.scalars(select(SourceCheckRunRow.host_failures)).all() == [None]


def test_source_checks_other_sources_are_checked_without_a_pause_after_a_model_has_failed(
    stopped: Stopped, fakes: FakeSources
) -> None:
    owner = stopped.owner
    register(owner, "ink", f"{fakes.huggingface_url}/studio/ink/blob/main/ink.safetensors")
    register(owner, "pony", f"{fakes.civitai_url}/models/111")
    owner.post("/source-checks")
    fakes.huggingface.refusals = [(503, {}) for _ in range(MODEL_TRIES)]
    for _ in range(MODEL_TRIES - 1):
        assert check_until_paused(stopped)["checked_count"] == 0
        end_pause(stopped)
    run = check_until_paused(stopped)
    assert (run["check_state"], run["checked_count"], run["failure_count"]) == ("done", 2, 1)


def test_source_checks_teams_take_turns(stopped: Stopped, fakes: FakeSources) -> None:
    owner, other = stopped.owner, stopped.registry.create_team()
    for number in range(BATCH + 1):
        register(owner, f"ink{number}", "https://models.example/ink.safetensors")
    register(other, "ink", "https://models.example/ink.safetensors")
    for caller in (owner, other):
        caller.post("/source-checks")
    checker = create_checker(stopped)
    states = list[tuple[int, int]]()
    for _ in range(3):
        checker.check_next()
        states.append((read(owner)["checked_count"], read(other)["checked_count"]))
    assert states == [(BATCH, 0), (BATCH, 1), (BATCH + 1, 1)]


def test_source_checks_of_removed_member_end(stopped: Stopped, fakes: FakeSources) -> None:
    member = stopped.registry.create_member("member", stopped.owner)
    register(stopped.owner, "ink", f"{fakes.civitai_url}/models/111")
    assert member.post("/source-checks").status_code == 200
    stopped.owner.delete(f"/members/{member.user_id}")
    run = check_until_paused(stopped)
    assert (run["check_state"], run["checked_count"]) == ("failed", 0)


def test_source_checks_new_check_lists_no_failures_of_the_one_before(stopped: Stopped, fakes: FakeSources) -> None:
    owner = stopped.owner
    model_id = register(owner, "ink", f"{fakes.civitai_url}/models/112")
    owner.post("/source-checks")
    assert check_until_paused(stopped)["failure_count"] == 1
    owner.put(f"/models/{model_id}", source_url=f"{fakes.civitai_url}/models/111")
    owner.post("/source-checks")
    assert check_until_paused(stopped)["failure_count"] == 0


def test_source_checks_unexpected_error_leaves_the_turn_to_other_teams_and_counts_as_a_failure(
    stopped: Stopped, fakes: FakeSources
) -> None:
    owner, other = stopped.owner, stopped.registry.create_team()
    page = f"{fakes.civitai_url}/models/111?modelVersionId=221"
    broken, _ = register(owner, "broken", page), register(other, "ink", page)
    with stopped.resources.database.writing() as session:
        session.execute(update(ModelRow).where(ModelRow.id == UUID(broken)).values(derived_from={"no": "hash"}))
    for caller in (owner, other):
        caller.post("/source-checks")
    with pytest.raises(KeyError):
        create_checker(stopped).check_next()
    assert check_until_paused(stopped)["retry_at"] is not None
    assert (read(other)["check_state"], read(other)["newer_count"]) == ("done", 1)
    for _ in range(MODEL_TRIES - 1):
        end_pause(stopped)
        with pytest.raises(KeyError):
            create_checker(stopped).check_next()
    run = check_until_paused(stopped)
    assert (run["check_state"], run["checked_count"]) == ("done", 1)
    assert [each["error"] for each in run["failure_list"]] == ["An unexpected error."]


def test_source_checks_transaction_that_fails_once_does_not_end_the_check(stopped: Stopped, fakes: FakeSources) -> None:
    owner, settings = stopped.owner, stopped.resources.settings
    register(owner, "ink", f"{fakes.civitai_url}/models/111?modelVersionId=221")
    # From the search for a check that is due, to the end of the check.
    for failing in range(1, 7):
        owner.post("/source-checks")
        with closing(FailingDatabase(build_database_url(settings), failing)) as database, pytest.raises(Unavailable):
            SourceChecker(database, open_sources(settings)).check_next()
        assert read(owner)["check_state"] == "running", failing
        end_pause(stopped)
        run = check_until_paused(stopped)
        assert (run["check_state"], run["checked_count"], run["newer_count"]) == ("done", 1, 1), failing


def test_source_checks_whose_answers_cannot_be_recorded_end(stopped: Stopped, fakes: FakeSources) -> None:
    owner = stopped.owner
    register(owner, "ink", f"{fakes.civitai_url}/models/111")
    owner.post("/source-checks")
    with stopped.resources.database.writing() as session:
        session.execute(update(SourceCheckRunRow).values(tries=MAX_TRIES))
    run = check_until_paused(stopped)
    assert (run["check_state"], run["checked_count"]) == ("failed", 0)

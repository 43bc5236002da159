"""Uses of models that machines report: records, sort, search, and what is unused."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from modelyard.server.database.engine import is_sqlite
from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow
from modelyard.server.models.tables import ModelRow
from modelyard.wire.uses.lists import MAX_UNUSED_MACHINES
from modelyard.wire.uses.reports import MAX_HEARTBEAT_USES
from tests.server.agents.machine import Machine, add_machine, build_states, set_last_heartbeat_ago
from tests.server.harness import ApiCaller, Harness, make_model_file
from tests.server.query_plans import record_queries

NOW = datetime.now(UTC).replace(microsecond=0)
YEAR_AGO = NOW - timedelta(days=365)


def register_model(team: ApiCaller, word: str, length: int = 50, **changed: Any) -> str:
    return team.register(make_model_file(word, length), f"loras/{word}.safetensors", **changed)


def report_use(machine: Machine, *uses: tuple[str, datetime]) -> None:
    machine.beat(use_list=[{"model_id": model_id, "last_used_at": used.isoformat()} for model_id, used in uses])


def make_old(registry: Harness, team: ApiCaller) -> None:
    """Let all models of the team have been registered and placed a year ago."""
    assert team.team_id is not None
    with registry.resources.database.writing(UUID(team.team_id)) as session:
        of_team = ModelRow.team_id == UUID(team.team_id)
        machines = select(AgentRow.number).where(AgentRow.team_id == UUID(team.team_id))
        for statement in (
            update(ModelRow).where(of_team).values(created_at=YEAR_AGO),
            update(AgentModelRow).where(AgentModelRow.agent_number.in_(machines)).values(reported_at=YEAR_AGO),
        ):
            session.execute(statement.execution_options(synchronize_session=False))


def beat_counting(registry: Harness, team: ApiCaller, machine: Machine, **fields: Any) -> dict[str, Any]:
    """Send a heartbeat of a machine that has counted for a year."""
    with registry.resources.database.writing(UUID(team.team_id or "")) as session:
        of_machine = AgentRow.team_id == UUID(team.team_id or ""), AgentRow.agent_id == machine.agent_id
        statement = update(AgentRow).where(*of_machine).values(use_counted_since=YEAR_AGO)
        session.execute(statement.execution_options(synchronize_session=False))
    return machine.beat(use_counted_since=YEAR_AGO.isoformat(), **fields)


def get_counting_start(team: ApiCaller) -> datetime | None:
    since = team.get("/agents").json()["agent_list"][0]["use_counted_since"]
    return None if since is None else datetime.fromisoformat(since)


def get_use(team: ApiCaller, model_id: str) -> datetime | None:
    used = team.get(f"/models/{model_id}").json()["last_used_at"]
    return None if used is None else datetime.fromisoformat(used)


def list_ids(team: ApiCaller, **query: Any) -> list[str]:
    answer = team.get("/models", **query)
    assert answer.status_code == 200, answer.text
    return [model["id"] for model in answer.json()["model_list"]]


def list_unused(team: ApiCaller, **query: Any) -> dict[str, Any]:
    answer = team.get("/unused-models", **query)
    assert answer.status_code == 200, answer.text
    listed: dict[str, Any] = answer.json()
    return listed


def test_report_use_is_in_the_record_and_in_the_list_of_the_machine(team: ApiCaller, machine: Machine) -> None:
    ink, oil = register_model(team, "ink"), register_model(team, "oil")
    assert get_use(team, ink) is None
    report_use(machine, (ink, YEAR_AGO))
    assert (get_use(team, ink), get_use(team, oil)) == (YEAR_AGO, None)
    rows = team.get("/agents/render-07/models").json()["agent_model_list"]
    assert {row["model_id"]: row["last_used_at"] for row in rows} == {
        ink: YEAR_AGO.isoformat().replace("+00:00", "Z"),
        oil: None,
    }


def test_report_use_keeps_the_latest_time_of_all_machines(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    ink, other = register_model(team, "ink"), add_machine(shared_registry, team, "render-08")
    report_use(machine, (ink, NOW - timedelta(days=2)), (ink, NOW - timedelta(days=3)))
    report_use(other, (ink, NOW - timedelta(days=9)))
    assert get_use(team, ink) == NOW - timedelta(days=2)
    report_use(other, (ink, NOW - timedelta(days=1)))
    report_use(other, (ink, NOW - timedelta(days=8)))
    assert get_use(team, ink) == NOW - timedelta(days=1)
    team.delete("/agents/render-08")
    assert get_use(team, ink) == NOW - timedelta(days=1)


def test_report_use_in_the_future_is_now(team: ApiCaller, machine: Machine) -> None:
    ink = register_model(team, "ink")
    before = datetime.now(UTC)
    report_use(machine, (ink, NOW + timedelta(days=400)))
    after, used = datetime.now(UTC), get_use(team, ink)
    assert used is not None
    assert before - timedelta(minutes=5) <= used <= after + timedelta(minutes=5)


def test_report_use_of_other_teams_and_unknown_models_sets_no_use_of_the_former(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    owner = shared_registry.owner
    theirs = owner.register(make_model_file("theirs"), "loras/theirs-use.safetensors")
    report_use(machine, (theirs, NOW), ("0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10", NOW))
    assert get_use(owner, theirs) is None


def test_report_too_many_uses_returns_422(machine: Machine) -> None:
    uses = [{"model_id": str(UUID(int=1)), "last_used_at": NOW.isoformat()}] * (MAX_HEARTBEAT_USES + 1)
    answer = machine.send(use_list=uses)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "use_list")


def test_report_uses_of_which_some_are_invalid_counts_the_others_and_names_those(
    team: ApiCaller, machine: Machine
) -> None:
    ink = register_model(team, "ink")
    uses = [
        {"model_id": "x", "last_used_at": NOW.isoformat()},
        {"model_id": ink, "last_used_at": YEAR_AGO.isoformat()},
        {"model_id": ink, "last_used_at": "2026-01-01T00:00:00"},
        {"model_id": ink, "last_used_at": 1_700_000_000},
        "ink",
    ]
    answer = machine.beat(use_list=uses)
    assert [each["field"] for each in answer["unreadable_list"]] == [f"use_list.{index}" for index in (0, 2, 3, 4)]
    assert get_use(team, ink) == YEAR_AGO


def test_report_of_an_invalid_use_counts_use_anew_and_names_no_unused_model_as_safe(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    ink = register_model(team, "ink")
    machine.begin(build_states(ink))
    make_old(shared_registry, team)
    beat_counting(shared_registry, team, machine)
    assert [row["model_id"] for row in list_unused(team)["unused_model_list"]] == [ink]
    answer = beat_counting(shared_registry, team, machine, use_list=[{"model_id": ink, "last_used_at": "yesterday"}])
    assert [each["field"] for each in answer["unreadable_list"]] == ["use_list.0"]
    assert get_counting_start(team) is None
    assert list_unused(team)["unused_model_list"] == []
    machine.beat(use_counted_since=YEAR_AGO.isoformat())
    assert list_unused(team)["unused_model_list"] == []


def test_list_models_by_last_use_pages_through_models_that_were_never_used(team: ApiCaller, machine: Machine) -> None:
    never, early, late, other = (register_model(team, word) for word in ("never", "early", "late", "other"))
    report_use(machine, (early, YEAR_AGO), (late, NOW))
    expected = [late, early, other, never]
    assert list_ids(team, sort="-last_used_at") == expected
    assert list_ids(team, sort="last_used_at") == expected[::-1]
    page = team.get("/models", sort="-last_used_at", cursor="", per_page=1).json()
    found = [page["model_list"][0]["id"]]
    while cursor := page["page_meta"]["next_cursor"]:
        page = team.get("/models", sort="-last_used_at", cursor=cursor, per_page=1).json()
        found.append(page["model_list"][0]["id"])
    assert found == expected


def test_search_unused_finds_models_that_no_counting_machine_used(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    used, unused, never = (register_model(team, word) for word in ("used", "unused", "never"))
    make_old(shared_registry, team)
    fresh = register_model(team, "fresh")
    machine.begin(build_states(used, unused, never, fresh))
    report = beat_counting(
        shared_registry,
        team,
        machine,
        use_list=[
            {"model_id": used, "last_used_at": (NOW - timedelta(days=20)).isoformat()},
            {"model_id": unused, "last_used_at": (NOW - timedelta(days=100)).isoformat()},
        ],
    )
    assert not report["resend_all"]
    assert set(list_ids(team, q="unused:90d")) == {unused, never}
    assert set(list_ids(team, q="unused:2w")) == {used, unused, never}
    assert set(list_ids(team, q="unused:200")) == {never}
    assert set(list_ids(team, q="unused:200d|90d")) == {unused, never}
    assert set(list_ids(team, q="-unused:90d")) == {used, fresh}
    facets = team.get("/models/facets", q="unused:90d", facet="type").json()["facet_list"]
    assert facets[0]["value_list"] == [{"value": "loras", "count": 2}]


@pytest.mark.parametrize("since", [None, NOW - timedelta(days=10)], ids=["does not count", "has not counted long"])
def test_search_unused_excludes_models_on_machines_that_have_not_counted(
    shared_registry: Harness, team: ApiCaller, machine: Machine, since: datetime | None
) -> None:
    ink, absent = register_model(team, "ink"), register_model(team, "absent")
    make_old(shared_registry, team)
    machine.begin(build_states(ink))
    machine.beat(use_counted_since=since and since.isoformat())
    assert list_ids(team, q="unused:90d") == [absent]


@pytest.mark.parametrize("value", ["x", "0d", "90m", "-5d", "99999d", "9999999y"])
def test_search_unused_invalid_time_returns_422(team: ApiCaller, value: str) -> None:
    answer = team.get("/models", q=f"unused:{value}")
    assert answer.status_code == 422
    assert "unused" in answer.text


def test_list_unused_models_sums_what_can_be_removed(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    small, large, assigned, used = (
        register_model(team, word, length)
        for word, length in (("small", 50), ("large", 500), ("assigned", 5000), ("used", 50))
    )
    other = add_machine(shared_registry, team, "render-08")
    uncounted = add_machine(shared_registry, team, "render-09")
    for each in (machine, other, uncounted):
        each.begin(build_states(small, large, assigned, used))
    make_old(shared_registry, team)
    team.put(f"/agents/render-07/models/{assigned}")
    team.put(f"/agents/render-08/models/{assigned}")
    beat_counting(shared_registry, team, machine)
    uses = [{"model_id": used, "last_used_at": NOW.isoformat()}]
    beat_counting(shared_registry, team, other, use_list=uses)

    listed = list_unused(team)
    sizes = {model: team.get(f"/models/{model}").json()["file_size"] for model in (small, large, used)}
    assert {each["model_id"]: each["agent_ids"] for each in listed["unused_model_list"]} == {
        large: ["render-07", "render-08"],
        small: ["render-07", "render-08"],
        used: ["render-07"],
    }
    assert listed["unused_model_list"][0]["model_id"] == large
    assert (listed["model_count"], listed["machine_count"]) == (3, 2)
    assert listed["total_bytes"] == 2 * sizes[small] + 2 * sizes[large] + sizes[used]
    assert listed["uncounted_ids"] == ["render-09"]
    there = list_unused(team, agent_id="render-08", days=30)
    assert {each["model_id"] for each in there["unused_model_list"]} == {small, large}
    assert (there["machine_count"], there["uncounted_ids"]) == (1, [])
    first = list_unused(team, cursor="", per_page=2)
    rest = list_unused(team, cursor=first["page_meta"]["next_cursor"], per_page=2)
    assert len(first["unused_model_list"]) == 2
    assert len(rest["unused_model_list"]) == 1
    assert (first["model_count"], rest["model_count"], rest["total_bytes"]) == (3, None, None)


@pytest.mark.parametrize(("days", "is_counted"), [(0, True), (2, True), (4, False)])
def test_list_unused_models_machine_that_no_longer_reports_is_left_out(
    shared_registry: Harness, team: ApiCaller, machine: Machine, days: int, is_counted: bool
) -> None:
    ink = register_model(team, "ink")
    machine.begin(build_states(ink))
    make_old(shared_registry, team)
    beat_counting(shared_registry, team, machine)
    set_last_heartbeat_ago(shared_registry, team, days * 86_400)
    listed = list_unused(team)
    assert [each["model_id"] for each in listed["unused_model_list"]] == ([ink] if is_counted else [])
    assert listed["uncounted_ids"] == ([] if is_counted else ["render-07"])
    assert list_ids(team, q="unused:90d") == ([ink] if is_counted else [])


def test_heartbeat_counts_since_the_first_that_said_so(team: ApiCaller, machine: Machine) -> None:
    machine.beat(use_counted_since=YEAR_AGO.isoformat())
    first = get_counting_start(team)
    assert first is not None
    assert first >= NOW
    machine.beat(use_counted_since=YEAR_AGO.isoformat())
    assert get_counting_start(team) == first
    machine.beat()
    assert get_counting_start(team) is None
    machine.beat(use_counted_since=YEAR_AGO.isoformat())
    assert (get_counting_start(team) or YEAR_AGO) > first


def test_list_unused_models_names_the_first_machines_only(shared_registry: Harness, team: ApiCaller) -> None:
    ink = register_model(team, "ink")
    machines = [add_machine(shared_registry, team, f"render-{number:02}") for number in range(MAX_UNUSED_MACHINES + 2)]
    for machine in machines:
        machine.begin(build_states(ink))
    make_old(shared_registry, team)
    for machine in machines:
        beat_counting(shared_registry, team, machine)
    [listed] = list_unused(team)["unused_model_list"]
    assert listed["agent_ids"] == [machine.agent_id for machine in machines[:MAX_UNUSED_MACHINES]]
    assert listed["agent_count"] == MAX_UNUSED_MACHINES + 2


def test_list_unused_models_next_page_reads_by_index_and_sums_nothing(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    ids = [register_model(team, word) for word in ("ink", "oil")]
    machine.begin(build_states(*ids))
    make_old(shared_registry, team)
    beat_counting(shared_registry, team, machine)
    cursor = list_unused(team, cursor="", per_page=1)["page_meta"]["next_cursor"]
    engine = shared_registry.resources.database.engine
    with record_queries(engine, of_all_threads=True) as statements:
        list_unused(team, cursor=cursor, per_page=1)
    assert not [statement for statement, _ in statements.sent if "sum(" in statement]
    if is_sqlite(engine):
        with engine.connect() as connection:
            [plan] = [plan for plan in statements.plans(connection) if "ix_models_team_id_content_size" in plan]
        assert "SCAN" not in plan
        assert "TEMP B-TREE" not in plan


def test_list_unused_models_folder_counts_with_all_of_its_files(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    folder, file = register_model(team, "oil"), register_model(team, "ink", 5000)
    with shared_registry.resources.database.writing() as session:
        of_folder = update(ModelRow).where(ModelRow.id == UUID(folder))
        session.execute(of_folder.values(total_size=800_000, file_count=2))
    machine.begin(build_states(folder, file))
    make_old(shared_registry, team)
    beat_counting(shared_registry, team, machine)
    unused = list_unused(team)
    sizes = {model["model_id"]: model["file_size"] for model in unused["unused_model_list"]}
    assert sizes == {folder: 800_000, file: team.get(f"/models/{file}").json()["file_size"]}
    assert list(sizes) == [folder, file]
    assert unused["total_bytes"] == sum(sizes.values())


def test_list_unused_models_recently_placed_one_is_left_out(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    ink = register_model(team, "ink")
    make_old(shared_registry, team)
    machine.begin(build_states(ink))
    beat_counting(shared_registry, team, machine)
    assert list_unused(team)["unused_model_list"] == []


def test_list_unused_models_unknown_machine_returns_404(team: ApiCaller) -> None:
    assert team.get("/unused-models", agent_id="nowhere").status_code == 404

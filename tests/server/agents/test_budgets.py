"""Disk budgets of machines: who is told, what is recorded, and the preview of what would be evicted."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from modelyard.agent.use.eviction_log import EvictionLog
from modelyard.agent.use.eviction_plan import EvictionFacts, plan_evictions
from modelyard.client.api.manifests import read_manifest as parse_manifest
from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow
from modelyard.server.models.tables import ModelRow
from modelyard.sync.desired import build_desired_state
from modelyard.wire.uses.eviction import MIN_COUNTED
from modelyard.wire.uses.lists import MAX_PREVIEWED
from tests.server.agents.machine import (
    Machine,
    add_machine,
    build_states,
    list_agent_events,
    list_agents,
    list_missing,
)
from tests.server.harness import ApiCaller, Harness, make_model_file

NOW = datetime.now(UTC).replace(microsecond=0)


def register_model(team: ApiCaller, word: str, length: int = 50, **changed: Any) -> str:
    return team.register(make_model_file(word, length), f"loras/{word}.safetensors", **changed)


def read_manifest(machine: Machine) -> dict[str, Any]:
    answer = machine.manifest()
    assert answer.status_code == 200, answer.text
    manifest: dict[str, Any] = answer.json()
    return manifest


def set_budget(team: ApiCaller, budget: object, agent_id: str = "render-07") -> None:
    answer = team.put(f"/agents/{agent_id}", disk_budget_bytes=budget)
    assert answer.status_code == 200, answer.text


def test_set_budget_is_in_the_record_the_manifest_and_the_audit_log(team: ApiCaller, machine: Machine) -> None:
    register_model(team, "ink")
    before = machine.manifest()
    assert "disk_budget_bytes" not in before.json()
    set_budget(team, 500)
    assert list_agents(team)["render-07"]["disk_budget_bytes"] == 500
    after = machine.manifest(etag=before.headers["etag"])
    assert (after.json()["disk_budget_bytes"], after.json()["assigned_ids"]) == (500, [])
    assert after.json()["model_list"] == before.json()["model_list"]
    set_budget(team, 500)
    assert list_agent_events(team).count("agent.budget_set") == 1
    set_budget(team, None)
    assert list_agents(team)["render-07"]["disk_budget_bytes"] is None
    assert machine.manifest().headers["etag"] == before.headers["etag"]


def test_manifest_of_machine_with_budget_names_what_is_assigned_to_it(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    labelled, assigned, subscribed, only_here = (
        register_model(team, "labelled"),
        register_model(team, "assigned"),
        register_model(team, "subscribed"),
        register_model(team, "only", required_labels=["none"]),
    )
    other = add_machine(shared_registry, team, "render-08")
    set_budget(team, 500)
    for model_id in (assigned, only_here):
        team.put(f"/agents/render-07/models/{model_id}")
    entry = {"model_id": subscribed, "version": 1}
    collection = team.post("/collections", name="Budgets", model_list=[entry]).json()["id"]
    team.post(f"/collections/{collection}/subscriptions", agent_id="render-07")
    manifest = read_manifest(machine)
    assert set(manifest["assigned_ids"]) == {assigned, only_here, subscribed}
    assert {entry["id"] for entry in manifest["model_list"]} == {labelled, assigned, subscribed, only_here}
    assert "assigned_ids" not in read_manifest(other)
    team.delete(f"/agents/render-07/models/{assigned}")
    assert set(read_manifest(machine)["assigned_ids"]) == {only_here, subscribed}


def test_manifest_of_machine_with_budget_and_no_models_is_valid(team: ApiCaller, machine: Machine) -> None:
    set_budget(team, 500)
    manifest = read_manifest(machine)
    assert (manifest["model_list"], manifest["assigned_ids"], manifest["disk_budget_bytes"]) == ([], [], 500)


@pytest.mark.parametrize("budget", [0, -1, "500GB", 1.5, True, 2**63])
def test_set_budget_invalid_returns_422_and_names_the_field(team: ApiCaller, machine: Machine, budget: object) -> None:
    answer = team.put("/agents/render-07", disk_budget_bytes=budget)
    assert answer.status_code == 422
    assert "disk_budget_bytes" in answer.text


def test_report_of_evicted_models_is_listed_and_the_machine_is_up_to_date(team: ApiCaller, machine: Machine) -> None:
    ink, oil = register_model(team, "ink"), register_model(team, "oil")
    reason = "Evicted to stay within the disk budget."
    machine.begin([*build_states(ink), *build_states(oil, state="evicted", reason=reason)])
    machine.beat(models_evicted=1)
    shown = list_agents(team)["render-07"]
    assert (shown["machine_state"], shown["models_evicted"], shown["models_ready"]) == ("up_to_date", 1, 1)
    found = team.get("/models", q="state:evicted").json()["model_list"]
    assert [model["id"] for model in found] == [oil]
    [row] = team.get("/agents/render-07/models", state="evicted").json()["agent_model_list"]
    assert (row["model_id"], row["reason"]) == (oil, reason)
    assert list_missing(team, "render-07") == [oil]


def test_preview_evictions_lists_least_recently_used_models_that_labels_bring(
    team: ApiCaller, machine: Machine
) -> None:
    early, late, absent, assigned = (register_model(team, word) for word in ("early", "late", "absent", "assigned"))
    size = team.get(f"/models/{early}").json()["file_size"]
    machine.begin(build_states(early, late, assigned))
    team.put(f"/agents/render-07/models/{assigned}")
    uses = [
        {"model_id": model_id, "last_used_at": (NOW - timedelta(days=days)).isoformat()}
        for model_id, days in ((early, 90), (late, 1), (assigned, 400))
    ]
    machine.beat(use_counted_since=NOW.isoformat(), use_list=uses)
    preview = team.get("/agents/render-07/evictions", disk_budget_bytes=1).json()
    sizes = {model: team.get(f"/models/{model}").json()["file_size"] for model in (early, late, absent, assigned)}
    listed = [(model["model_id"], model["is_here"]) for model in preview["evicted_list"]]
    assert listed == [(early, True), (late, True), (absent, False)]
    assert (preview["evicted_count"], preview["away_count"]) == (3, 0)
    assert preview["kept_bytes"] == sizes[assigned]
    assert preview["freed_bytes"] == sizes[early] + sizes[late]
    assert preview["desired_bytes"] == sum(sizes.values())
    assert preview["counts_use"] is True
    set_budget(team, sum(sizes.values()) - size + 1)
    again = team.get("/agents/render-07/evictions").json()
    assert len(again["evicted_list"]) == 1
    set_budget(team, sum(sizes.values()))
    assert team.get("/agents/render-07/evictions").json()["evicted_list"] == []


def make_old(registry: Harness, team: ApiCaller) -> None:
    """Let all models of the team have been registered, and reported by machines, a year ago."""
    year_ago, team_id = NOW - timedelta(days=365), UUID(team.team_id or "")
    machines = select(AgentRow.number).where(AgentRow.team_id == team_id)
    with registry.resources.database.writing(team_id) as session:
        for statement in (
            update(ModelRow).where(ModelRow.team_id == team_id).values(updated_at=year_ago),
            update(AgentModelRow).where(AgentModelRow.agent_number.in_(machines)).values(reported_at=year_ago),
        ):
            session.execute(statement.execution_options(synchronize_session=False))


def beat_uses(machine: Machine, days_ago: dict[str, int]) -> dict[UUID, datetime]:
    """Report that models were used so many days ago, and return the times."""
    times = {model_id: NOW - timedelta(days=days) for model_id, days in days_ago.items()}
    uses = [{"model_id": model_id, "last_used_at": used.isoformat()} for model_id, used in times.items()]
    machine.beat(use_counted_since=NOW.isoformat(), use_list=uses)
    return {UUID(model_id): used for model_id, used in times.items()}


def preview(team: ApiCaller, budget: int) -> dict[str, Any]:
    answer = team.get("/agents/render-07/evictions", disk_budget_bytes=budget)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def list_previewed(document: dict[str, Any]) -> list[str]:
    return [model["model_id"] for model in document["evicted_list"]]


def test_preview_evictions_after_evictions_lists_what_the_machine_evicts_next(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    ids = [register_model(team, word) for word in ("one", "two", "six", "ten")]
    size = team.get(f"/models/{ids[0]}").json()["file_size"]
    machine.begin(build_states(*ids))
    make_old(shared_registry, team)
    uses = beat_uses(machine, {model_id: 90 - place for place, model_id in enumerate(ids)})
    log, here = EvictionLog(), set(ids)
    for count, expected in ((3, ids[:1]), (3, []), (1, ids[1:3])):
        budget = size * count + 1
        previewed = preview(team, budget)
        set_budget(team, budget)
        manifest = parse_manifest(machine.manifest().content)
        desired = build_desired_state(manifest.model_list, manifest.unreadable)
        facts = EvictionFacts(NOW, budget, manifest.assigned_ids, uses, here={UUID(each) for each in here})
        plan = plan_evictions(desired.models, log, facts)
        evicted = {str(each) for each in plan.log.evicted_at.keys() - log.evicted_at.keys()}
        assert list_previewed(previewed) == expected
        assert (evicted, previewed["evicted_count"]) == (set(expected), len(expected))
        assert previewed["away_count"] == len(log.evicted_at)
        assert previewed["freed_bytes"] == size * len(expected)
        log, here = plan.log, here - evicted
        machine.begin([*build_states(*here), *build_states(*map(str, log.evicted_at), state="evicted")])


def test_preview_evictions_first_budget_takes_the_time_of_the_record(team: ApiCaller, machine: Machine) -> None:
    first, last = register_model(team, "first"), register_model(team, "last", length=400)
    machine.begin(build_states(first, last))
    machine.beat(use_counted_since=NOW.isoformat())
    size = team.get(f"/models/{first}").json()["file_size"] + team.get(f"/models/{last}").json()["file_size"]
    assert list_previewed(preview(team, size - 1)) == [first]
    # Later, both came at the same time, and the larger one is evicted first.
    set_budget(team, size)
    assert list_previewed(preview(team, size - 1)) == [last]


def test_preview_evictions_leaves_out_damaged_models(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    damaged, intact = register_model(team, "damaged"), register_model(team, "intact")
    machine.begin(build_states(damaged, intact))
    beat_uses(machine, {damaged: 90, intact: 1})
    with shared_registry.resources.database.writing(UUID(team.team_id or "")) as session:
        statement = update(ModelRow).where(ModelRow.id == UUID(damaged)).values(verification="failed")
        session.execute(statement.execution_options(synchronize_session=False))
    assert list_previewed(preview(team, 1)) == [intact]


@pytest.mark.parametrize("days", [0, 6, 8])
def test_preview_evictions_says_until_when_a_machine_that_began_to_count_evicts_nothing(
    shared_registry: Harness, team: ApiCaller, machine: Machine, days: int
) -> None:
    since = NOW - timedelta(days=days)
    assert preview(team, 1)["evicts_from"] is None
    machine.beat(use_counted_since=NOW.isoformat())
    with shared_registry.resources.database.writing(UUID(team.team_id or "")) as session:
        of_machine = AgentRow.team_id == UUID(team.team_id or ""), AgentRow.agent_id == "render-07"
        statement = update(AgentRow).where(*of_machine).values(use_counted_since=since)
        session.execute(statement.execution_options(synchronize_session=False))
    document = preview(team, 1)
    assert datetime.fromisoformat(document["use_counted_since"]) == since
    first = document["evicts_from"]
    assert (None if first is None else datetime.fromisoformat(first)) == (since + MIN_COUNTED if days < 7 else None)


@pytest.mark.extended(reason="twelve seconds of models; the other tests of this file have the rules")
def test_preview_evictions_of_many_models_lists_the_first(team: ApiCaller, machine: Machine) -> None:
    for number in range(MAX_PREVIEWED + 1):
        register_model(team, f"model{number}")
    document = preview(team, 1)
    assert (document["evicted_count"], len(document["evicted_list"])) == (MAX_PREVIEWED + 1, MAX_PREVIEWED)


def test_preview_evictions_without_budget_returns_422(team: ApiCaller, machine: Machine) -> None:
    answer = team.get("/agents/render-07/evictions")
    assert answer.status_code == 422
    assert "disk_budget_bytes" in answer.text
    assert team.get("/agents/nowhere/evictions", disk_budget_bytes=5).status_code == 404

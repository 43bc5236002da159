"""States of some models on all machines, and the models of one machine that are not ready."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select

from modelyard.server.database.session import get_table
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.wire.agents.values import MAX_REASON_LENGTH, MAX_SENTENCE_LENGTH
from tests.server.agents.machine import Machine, build_states, list_states_on, register_model
from tests.server.environments import only_on
from tests.server.harness import ApiCaller, Harness
from tests.server.query_plans import record_queries

pytestmark = pytest.mark.slow

NOT_PINNED = {"pinned_version": None}


def list_states(team: ApiCaller, *model_ids: str) -> list[dict[str, Any]]:
    """Return the states of these models on all machines."""
    answer = team.get("/agent-states", model_id=list(model_ids))
    assert answer.status_code == 200, answer.text
    listed: list[dict[str, Any]] = answer.json()["model_list"]
    return listed


def test_list_states_of_models_has_every_machine_that_should_hold_them(team: ApiCaller, machine: Machine) -> None:
    big = Machine(machine.key, "big", ("gpu24",))
    big.beat()
    plain, labelled = register_model(team, "plain"), register_model(team, "labelled", required_labels=["gpu24"])
    machine.begin(build_states(plain))
    big.begin(
        build_states(labelled, reason="ComfyUI does not load it.")
        + build_states(plain, state="failed", reason="No room.")
    )
    states = [{"agent_id": "big", "state": "failed", "reason": "No room.", "bytes_done": 0, **NOT_PINNED}]
    not_loaded = {
        "agent_id": "big",
        "state": "ready",
        "reason": "ComfyUI does not load it.",
        "bytes_done": 0,
        **NOT_PINNED,
    }
    assert list_states(team, labelled, plain, plain) == [
        {"model_id": labelled, "version": 1, "ready": [], "state_list": [not_loaded]},
        {"model_id": plain, "version": 1, "ready": ["render-07"], "state_list": states},
    ]


def test_list_states_of_models_unreported_state_is_queued(team: ApiCaller, machine: Machine) -> None:
    model_id = register_model(team, "one")
    [listed] = list_states(team, model_id)
    [queued] = listed["state_list"]
    assert (listed["ready"], queued["agent_id"], queued["state"]) == ([], "render-07", "queued")
    assert queued["reason"].startswith("Starts within about a minute")


def test_list_states_of_models_leaves_out_undesired_and_foreign_models(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    model_id, off = register_model(team, "one"), register_model(team, "off")
    machine.begin(build_states(model_id, off))
    team.put(f"/models/{off}", model_status="disabled")
    other_team = shared_registry.create_other_team()
    assert [entry["model_id"] for entry in list_states(team, off, model_id)] == [model_id]
    assert list_states(other_team, model_id) == []


@only_on("sqlite", reason="PostgreSQL reads small tables whole")
def test_list_states_of_models_reads_models_by_primary_key(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    model_ids = [register_model(team, str(number)) for number in range(10)]
    engine = shared_registry.resources.database.engine
    with record_queries(engine, of_all_threads=True) as statements:
        assert len(list_states(team, *model_ids)) == 10
    with engine.connect() as connection:
        steps = [step for plan in statements.plans(connection) for step in plan.splitlines() if " models " in step]
    assert steps
    assert [step for step in steps if "(id=?)" not in step] == []


def test_list_states_of_models_with_current_etag_returns_304(team: ApiCaller, machine: Machine) -> None:
    model_id = register_model(team, "one")
    machine.begin([])
    query = {"model_id": model_id}
    etag = team.get("/agent-states", **query).headers["ETag"]
    machine.beat(sync_percent=3)
    assert team.call("GET", "/agent-states", params=query, headers={"If-None-Match": etag}).status_code == 304
    machine.report(build_states(model_id))
    assert team.call("GET", "/agent-states", params=query, headers={"If-None-Match": etag}).status_code == 200


def test_list_states_of_no_or_more_than_100_models_returns_422(team: ApiCaller) -> None:
    model_id = register_model(team, "one")
    assert team.get("/agent-states").status_code == 422
    assert team.get("/agent-states", model_id=[model_id] * 101).status_code == 422
    assert team.get("/agent-states", model_id="ink").status_code == 422


def test_list_states_of_models_above_10000_states_returns_422(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    model_ids = [register_model(team, str(number)) for number in range(21)]
    other = register_model(team, "other", required_labels=["gpu24"])
    add_machines(shared_registry, team, 499)
    assert len(list_states(team, *model_ids[:20], other)) == 21
    refused = team.get("/agent-states", model_id=model_ids)
    assert (refused.status_code, refused.json()["error_code"]) == (422, "invalid_request")
    assert [error["field"] for error in refused.json()["errors"]] == ["model_id"]


def test_list_states_cuts_a_machines_problem_to_500_characters_the_last_an_ellipsis(
    team: ApiCaller, machine: Machine
) -> None:
    machine.beat(problem="x" * MAX_SENTENCE_LENGTH)
    [model] = list_states(team, register_model(team, "one"))
    [state] = model["state_list"]
    assert len(state["reason"]) == MAX_REASON_LENGTH == 500
    assert state["reason"].endswith("x…")


def add_machines(registry: Harness, team: ApiCaller, count: int) -> None:
    """Copy the team's only machine ``count`` times, which is faster than heartbeats."""
    assert team.team_id is not None
    team_id = UUID(team.team_id)
    agents = get_table(AgentRow)
    with registry.resources.database.writing(team_id) as session:
        row = session.execute(select(agents).where(agents.c.team_id == team_id)).one()._asdict()
        del row["number"]
        session.connection().execute(
            insert(agents), [row | {"agent_id": f"machine-{number}"} for number in range(count)]
        )


def test_list_models_on_agent_missing_has_those_that_are_not_ready(team: ApiCaller, machine: Machine) -> None:
    has, fetches, unheard = (
        register_model(team, "has"),
        register_model(team, "fetches"),
        register_model(team, "unheard"),
    )
    machine.begin(build_states(has) + build_states(fetches, state="downloading"))
    assert list_states_on(team, missing=True) == {unheard: "queued", fetches: "downloading"}
    assert list_states_on(team, missing=True, state="downloading") == {fetches: "downloading"}
    machine.begin(build_states(has, fetches, unheard), series="two")
    assert list_states_on(team, missing=True) == {}

"""The ``machine_state`` of a machine: what decides it, and how it is listed."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from modelyard.server.agents.desired_counts import DesiredCounts
from modelyard.server.agents.machine_states import decide_machine_state
from modelyard.server.agents.metrics import MachineMetrics
from modelyard.server.database.base import now
from modelyard.server.database.job_run import JobRun
from modelyard.server.models.replicas.problems import load_problem_reasons
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.replicas.unhealthy import record_unhealthy_agents
from modelyard.wire.agents.values import MAX_SENTENCE_LENGTH
from tests.server.agents.machine import (
    Machine,
    add_machine,
    build_states,
    list_agent_events,
    list_agents,
    register_model,
    set_last_heartbeat_ago,
)
from tests.server.environments import only_on
from tests.server.harness import ApiCaller, Harness
from tests.server.query_plans import record_queries

pytestmark = pytest.mark.slow

MOMENT = now()
SILENT_SINCE = MOMENT - timedelta(seconds=91)
TOKEN = "a" * 64
# Of a machine that lacks two of its 14 models.
LACKS_TWO = {"models_ready": 12}
SCANNING = {"sync_phase": "scanning"}
DOWNLOADING = {"agent_status": "syncing", "sync_phase": "downloading", "sync_detail": "ink.safetensors"}


def build_agent(**changed: Any) -> AgentRow:
    """Build the row of a machine that holds all of its 14 models and does nothing."""
    values: dict[str, Any] = {
        "last_heartbeat": MOMENT,
        "stopped_at": None,
        "paused": False,
        "problem": None,
        "removal_token": None,
        "removal_waiting": 0,
        "models_unloaded": 0,
        "models_evicted": 0,
        "models_ready": 14,
        "agent_status": "idle",
        "sync_phase": "idle",
        "sync_detail": None,
        "waiting_for": None,
    }
    return AgentRow(**(values | changed))


def _queued(models: str) -> str:
    """Return the reason of a machine that lacks these models and reports nothing that it waits for."""
    return f"{models} queued. Starts within about a minute."


STOPPED = "The agent was stopped. Start its service on the machine, or modelyard agent run"
CASES = {
    "complete": ({}, {}, "up_to_date", None),
    "complete but for evicted models": (LACKS_TWO | {"models_evicted": 2}, {}, "up_to_date", None),
    "complete while rendering": ({"agent_status": "busy"}, {}, "up_to_date", None),
    "complete and scanning": (SCANNING, {}, "up_to_date", None),
    "lacks models and scans": (LACKS_TWO | SCANNING, {}, "syncing", "Scanning"),
    "downloads": (LACKS_TWO | DOWNLOADING, {}, "syncing", "Downloading ink.safetensors"),
    "downloads nothing": (
        LACKS_TWO | DOWNLOADING | {"waiting_for": "The store does not answer."},
        {},
        "syncing",
        "Downloading ink.safetensors. The store does not answer.",
    ),
    "removes": ({"agent_status": "syncing", "sync_phase": "placing"}, {}, "syncing", "Placing"),
    "lacks models": (LACKS_TWO, {}, "waiting", _queued("2 models are")),
    "lacks one": ({"models_ready": 13}, {}, "waiting", _queued("1 model is")),
    "lacks models until night": (
        LACKS_TWO | {"sync_phase": "waiting", "waiting_for": "Downloads start at 22:00."},
        {},
        "waiting",
        "Downloads start at 22:00.",
    ),
    "paused": ({"paused": True}, {}, "waiting", "The machine is paused."),
    "paused with conflict": ({"paused": True}, {"conflict": "It is yours."}, "waiting", "The machine is paused."),
    "conflict": (LACKS_TWO, {"conflict": "It is yours."}, "problem", "It is yours."),
    "conflict while downloading": (LACKS_TWO | DOWNLOADING, {"conflict": "Yours."}, "problem", "Yours."),
    "conflict without reason": (LACKS_TWO, {"conflict": ""}, "problem", "A file of yours has the path of a model."),
    "blocked": (LACKS_TWO, {"blocked": "The disk is full."}, "problem", "The disk is full."),
    "failed": (LACKS_TWO, {"failed": "It is tried again."}, "problem", "It is tried again."),
    "failed while downloading": (
        LACKS_TWO | DOWNLOADING,
        {"failed": "It is tried again."},
        "syncing",
        "Downloading ink.safetensors",
    ),
    "held removals": (
        {"removal_token": TOKEN, "removal_waiting": 214},
        {},
        "problem",
        "The removal of 214 files waits for approval by an admin.",
    ),
    "folders not readable": ({"problem": "/data is not mounted."}, {}, "problem", "/data is not mounted."),
    "not loaded": (
        {"models_unloaded": 2},
        {},
        "problem",
        "ComfyUI does not load 2 models; the states of its models say why.",
    ),
    "stopped": ({"stopped_at": MOMENT} | LACKS_TWO, {"failed": "It is tried again."}, "offline", STOPPED),
    "stopped long ago": (
        {"stopped_at": MOMENT, "last_heartbeat": MOMENT - timedelta(days=1)},
        {},
        "offline",
        STOPPED,
    ),
    "stopped with a problem": (
        {"stopped_at": MOMENT, "problem": "/data is not mounted."},
        {"conflict": "It is yours."},
        "offline",
        f"{STOPPED}. It reported last: /data is not mounted.",
    ),
    "stopped with a conflict": (
        {"stopped_at": MOMENT},
        {"conflict": "It is yours."},
        "offline",
        f"{STOPPED}. It reported last: It is yours.",
    ),
    "stopped with the longest problem": (
        {"stopped_at": MOMENT, "problem": "x" * MAX_SENTENCE_LENGTH},
        {},
        "offline",
        f"{STOPPED}. It reported last: {'x' * MAX_SENTENCE_LENGTH}"[: MAX_SENTENCE_LENGTH - 1] + "…",
    ),
    "silent for 90 seconds": ({"last_heartbeat": MOMENT - timedelta(seconds=90)}, {}, "up_to_date", None),
    "silent": (
        {"last_heartbeat": SILENT_SINCE, "paused": True},
        {},
        "offline",
        "No heartbeats arrive: the machine is off, has no network, or its agent crashed. "
        "Check that, on the machine: modelyard agent status",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_decide_machine_state(case: tuple[dict[str, Any], dict[Any, str], str, str | None]) -> None:
    changed, reasons, state, reason = case
    decided = decide_machine_state(build_agent(**changed), MOMENT, 14, reasons, None)
    assert (decided.state, decided.reason) == (state, reason)


def get_state(team: ApiCaller) -> tuple[str, str | None]:
    shown = list_agents(team)["render-07"]
    return shown["machine_state"], shown["state_reason"]


def test_machine_with_conflict_or_undelivered_model_is_never_up_to_date(team: ApiCaller, machine: Machine) -> None:
    assert get_state(team) == ("up_to_date", None)
    one, two = register_model(team, "one"), register_model(team, "two")
    assert get_state(team) == ("waiting", _queued("2 models are"))
    machine.begin([*build_states(one), *build_states(two, state="conflict", reason="It is yours.")])
    assert get_state(team) == ("problem", "It is yours.")
    machine.report(build_states(two, state="downloading"))
    assert get_state(team) == ("waiting", _queued("1 model is"))
    machine.report(build_states(two))
    assert get_state(team) == ("up_to_date", None)


def test_syncing_machine_shows_bytes_and_seconds_left(team: ApiCaller, machine: Machine) -> None:
    register_model(team, "one")
    progress = {"sync_bytes_done": 12, "sync_bytes_total": 31, "sync_seconds_left": 240}
    machine.beat(agent_status="syncing", sync_phase="downloading", **progress)
    shown = list_agents(team)["render-07"]
    assert shown["machine_state"] == "syncing"
    assert {name: shown[name] for name in progress} == progress
    team.put("/agents/render-07", paused=True)
    shown = list_agents(team)["render-07"]
    assert {shown[name] for name in progress} == {None}


def test_stopped_machine_is_offline_until_its_next_heartbeat_and_not_recorded_as_unhealthy(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    machine.beat(is_stopping=True)
    shown = list_agents(team)["render-07"]
    assert shown["machine_state"] == "offline"
    assert shown["state_reason"] == STOPPED
    assert shown["stopped_at"] == shown["last_heartbeat"]
    set_last_heartbeat_ago(shared_registry, team, 91)
    record_unhealthy_agents(JobRun(shared_registry.resources.database, "offline machines"))
    machine.beat()
    assert list_agents(team)["render-07"]["stopped_at"] is None
    assert get_state(team) == ("up_to_date", None)
    assert list_agent_events(team) == ["agent.first_seen"]


def test_stopped_machine_shows_the_problem_that_its_last_heartbeat_reported_apart_from_its_models(
    team: ApiCaller, machine: Machine
) -> None:
    model_id = register_model(team, "one")
    problem = '1 file that no model needs, "loras/ink.sft", cannot be removed: "loras" is mounted read-only.'
    machine.beat(is_stopping=True, problem=problem, waiting_for=problem)
    assert get_state(team) == ("offline", f"{STOPPED}. It reported last: {problem}")
    [of_model] = team.get(f"/models/{model_id}/agents").json()["agent_model_list"]
    assert of_model["reason"] == f"The machine is offline. {STOPPED}"
    machine.beat(is_stopping=True)
    assert get_state(team) == ("offline", STOPPED)


def test_name_of_stopped_machine_may_be_used_with_another_key_at_once(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    other = Machine(shared_registry.create_key("agent", team))
    assert other.send().json()["error_code"] == "agent_taken"
    machine.beat(is_stopping=True)
    assert other.send().status_code == 200


def test_list_agents_filters_by_machine_state_and_pages(team: ApiCaller, machine: Machine) -> None:
    for name in ("two", "three"):
        Machine(machine.key, name).beat(problem="/data is not mounted.")
    assert list(list_agents(team, machine_state="problem")) == ["three", "two"]
    assert list(list_agents(team, machine_state="up_to_date")) == ["render-07"]
    assert list_agents(team, machine_state="offline") == {}
    page = team.get("/agents", machine_state="problem", per_page=1).json()
    assert (len(page["agent_list"]), page["page_meta"]["total_count"]) == (1, 2)
    assert team.get("/agents", machine_state="perhaps").status_code == 422


@only_on("sqlite", reason="PostgreSQL reads small tables whole")
def test_reasons_of_problems_are_found_by_their_index(shared_registry: Harness, machine: Machine) -> None:
    engine = shared_registry.resources.database.engine
    with record_queries(engine) as statements, Session(engine) as session:
        load_problem_reasons(session, [1, 2, 3])
    with engine.connect() as connection:
        steps = [step for plan in statements.plans(connection) for step in plan.splitlines() if "agent_models" in step]
    assert len(steps) == 3
    assert [step for step in steps if "ix_agent_models_problems (agent_number=? AND state=?)" not in step] == []


def test_metrics_count_machines_by_state_except_those_of_deleted_teams(registry: Harness) -> None:
    metrics, team = MachineMetrics(registry.resources.database, DesiredCounts()), registry.create_team()

    def count(state: str) -> float:
        [family] = metrics.collect()
        return next(each.value for each in family.samples if each.labels == {"state": state})

    states = ("up_to_date", "waiting", "offline")
    assert [count(state) for state in states] == [0, 0, 0]
    add_machine(registry, team)
    Machine(registry.create_key("agent", team), "render-08").beat()
    team.put("/agents/render-08", paused=True)
    assert [count(state) for state in states] == [1, 1, 0]
    team.delete("/teams/current")
    assert [count(state) for state in states] == [0, 0, 0]


def test_number_of_queries_for_metrics_does_not_depend_on_the_number_of_teams(shared_registry: Harness) -> None:
    database = shared_registry.resources.database
    metrics = MachineMetrics(database, DesiredCounts())

    def count_queries() -> int:
        [*metrics.collect()]
        with record_queries(database.engine) as queries:
            [*metrics.collect()]
        return len(queries.sent)

    add_machine(shared_registry, shared_registry.create_team())
    before = count_queries()
    for _ in range(3):
        add_machine(shared_registry, shared_registry.create_team())
    assert count_queries() == before

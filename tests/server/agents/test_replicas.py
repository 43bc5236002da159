"""Which machines should hold a model and which have it ready: stored counts, and models that are missing."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow
from modelyard.server.models.tables import ModelRow
from tests.server.agents.machine import (
    Machine,
    build_states,
    get_replica_counts,
    list_agents,
    list_missing,
    list_states_on,
    register_model,
)
from tests.server.environments import only_on
from tests.server.harness import ApiCaller, Harness, make_model_file
from tests.server.query_plans import record_queries

pytestmark = pytest.mark.slow


def test_agents_desired_counts_machines_with_the_required_labels(team: ApiCaller, machine: Machine) -> None:
    Machine(machine.key, "big", ("gpu24", "north")).beat()
    plain, labelled = (
        register_model(team, "plain"),
        register_model(team, "labelled", required_labels=["north", "gpu24"]),
    )
    elsewhere = register_model(team, "elsewhere", required_labels=["gpu2"])
    assert [get_replica_counts(team, model_id) for model_id in (plain, labelled, elsewhere)] == [(0, 2), (0, 1), (0, 0)]
    listed = {entry["id"]: entry["agents_desired"] for entry in team.get("/models").json()["model_list"]}
    assert listed == {plain: 2, labelled: 1, elsewhere: 0}
    assert {name: shown["models_desired"] for name, shown in list_agents(team).items()} == {"render-07": 1, "big": 2}


def test_renamed_model_is_queued_until_reported_again(team: ApiCaller, machine: Machine) -> None:
    renamed, other = register_model(team, "one"), register_model(team, "two")
    machine.begin(build_states(renamed, other))

    team.put(f"/models/{renamed}", model_path="loras/renamed.safetensors")

    assert list_states_on(team) == {renamed: "queued", other: "ready"}
    assert (get_replica_counts(team, renamed), list_missing(team)) == ((0, 1), [renamed])
    for search in ("missing:render-07", "is:missing", "state:queued"):
        assert [model["id"] for model in team.get("/models", q=search).json()["model_list"]] == [renamed], search
    shown = list_agents(team)["render-07"]
    assert (shown["models_ready"], shown["models_desired"]) == (1, 2)
    assert shown["machine_state"] != "up_to_date"
    machine.report(build_states(renamed))
    assert (get_replica_counts(team, renamed), list_missing(team)) == ((1, 1), [])


def test_report_from_before_a_rename_does_not_count(team: ApiCaller, machine: Machine) -> None:
    model_id = register_model(team, "one")
    old, new = ([build_states(model_id)[0] | {"model_path": f"loras/{name}.safetensors"}] for name in ("one", "new"))
    machine.begin(old)
    assert get_replica_counts(team, model_id) == (1, 1)

    team.put(f"/models/{model_id}", model_path="loras/new.safetensors")

    machine.report(old)
    assert (get_replica_counts(team, model_id), list_states_on(team)) == ((0, 1), {model_id: "queued"})
    machine.begin(old, series="two")
    assert (get_replica_counts(team, model_id), list_states_on(team)) == ((0, 1), {model_id: "queued"})
    machine.report(new)
    assert (get_replica_counts(team, model_id), list_states_on(team)) == ((1, 1), {model_id: "ready"})


def test_report_of_a_path_in_the_models_folder_counts(team: ApiCaller, machine: Machine) -> None:
    model_id = team.register(make_model_file("one"), "models/loras/one.safetensors")
    machine.begin([build_states(model_id)[0] | {"model_path": "loras/one.safetensors"}])
    assert get_replica_counts(team, model_id) == (1, 1)


def test_model_with_another_name_or_the_same_path_stays_ready(team: ApiCaller, machine: Machine) -> None:
    model_id = register_model(team, "one")
    machine.begin(build_states(model_id))
    team.put(f"/models/{model_id}", display_name="Another", model_path="loras/one.safetensors")
    assert get_replica_counts(team, model_id) == (1, 1)


def test_model_disabled_or_deleted_and_restored_is_queued_until_reported_again(
    team: ApiCaller, machine: Machine
) -> None:
    model_id = register_model(team, "one")
    machine.begin(build_states(model_id))
    for away, back in (({"model_status": "disabled"}, {"model_status": "active"}), ({}, {})):
        if away:
            team.put(f"/models/{model_id}", **away)
        else:
            team.delete(f"/models/{model_id}")
        assert list_agents(team)["render-07"]["models_ready"] == 0
        assert machine.report(build_states(model_id))["resend_all"] is False
        if back:
            team.put(f"/models/{model_id}", **back)
        else:
            team.post(f"/models/{model_id}/restore")
        assert (get_replica_counts(team, model_id), list_states_on(team)) == ((0, 1), {model_id: "queued"})
        machine.report(build_states(model_id))
        assert get_replica_counts(team, model_id) == (1, 1)


def test_labels_removed_and_added_again_require_a_complete_report(team: ApiCaller, machine: Machine) -> None:
    model_id, plain = register_model(team, "one", required_labels=["night"]), register_model(team, "plain")
    team.put("/agents/render-07", agent_labels=["night"])
    machine.begin(build_states(model_id, plain))
    assert (get_replica_counts(team, model_id), get_replica_counts(team, plain)) == ((1, 1), (1, 1))
    team.put("/agents/render-07", agent_labels=[])
    assert (get_replica_counts(team, model_id), list_agents(team)["render-07"]["models_ready"]) == ((0, 0), 1)
    team.put("/agents/render-07", agent_labels=["night"])
    assert get_replica_counts(team, model_id) == (0, 1)
    assert machine.beat()["resend_all"] is True
    machine.begin(build_states(model_id, plain), series="two")
    assert get_replica_counts(team, model_id) == (1, 1)


def test_records_count_machines_whose_comfyui_does_not_load_a_model(team: ApiCaller, machine: Machine) -> None:
    big = Machine(machine.key, "big", ("gpu24",))
    big.beat()
    model_id = register_model(team, "one")
    unloaded = build_states(model_id, reason="ComfyUI does not list it")

    def counts() -> tuple[int, int]:
        model = team.get(f"/models/{model_id}").json()
        return model["agents_ready"], model["agents_unloaded"]

    machine.begin(unloaded)
    big.begin(unloaded)
    assert counts() == (2, 2)
    machine.begin(build_states(model_id), series="two")
    assert counts() == (2, 1)
    team.put(f"/models/{model_id}", required_labels=["gpu24"])
    assert counts() == (1, 1)
    big.begin(build_states(model_id, state="failed"), series="two")
    assert counts() == (0, 0)
    big.begin(unloaded, series="three")
    team.delete("/agents/big")
    assert counts() == (0, 0)


def test_new_required_labels_delete_states_on_machines_without_them(team: ApiCaller, machine: Machine) -> None:
    big = Machine(machine.key, "big", ("gpu24",))
    big.beat()
    model_id = register_model(team, "one")
    for sender in (machine, big):
        sender.begin(build_states(model_id))
    assert get_replica_counts(team, model_id) == (2, 2)
    team.put(f"/models/{model_id}", required_labels=["gpu24"])
    assert get_replica_counts(team, model_id) == (1, 1)
    assert {name: shown["models_ready"] for name, shown in list_agents(team).items()} == {"render-07": 0, "big": 1}


def test_list_models_missing_on_has_desired_models_that_are_not_ready(team: ApiCaller, machine: Machine) -> None:
    big = Machine(machine.key, "big", ("gpu24",))
    big.beat()
    everywhere, here, nowhere = (register_model(team, word) for word in ("everywhere", "here", "nowhere"))
    labelled = register_model(team, "labelled", required_labels=["gpu24"])
    elsewhere = register_model(team, "elsewhere", required_labels=["gpu2"])
    disabled = register_model(team, "disabled")
    team.put(f"/models/{disabled}", model_status="disabled")
    machine.begin(build_states(everywhere, here))
    big.begin([*build_states(everywhere), *build_states(labelled, state="downloading")])
    assert list_missing(team) == [labelled, nowhere, here]
    assert list_missing(team, "render-07") == [nowhere]
    assert list_missing(team, "big") == [labelled, nowhere, here]
    assert list_missing(team, "nobody") == []
    assert list_missing(team, sort="display_name") == [here, labelled, nowhere]
    assert list_missing(team, q="nowhere") == [nowhere]
    assert list_missing(team, model_status="disabled") == list_missing(team, deleted="true") == []
    assert elsewhere not in list_missing(team)
    page = team.get("/models", missing_on="any", per_page=2).json()
    assert (page["page_meta"]["total_count"], len(page["model_list"])) == (3, 2)
    first = team.get("/models", missing_on="any", per_page=2, cursor="").json()
    rest = list_missing(team, cursor=first["page_meta"]["next_cursor"])
    assert [entry["id"] for entry in first["model_list"]] + rest == [labelled, nowhere, here]


@only_on("sqlite", reason="PostgreSQL reads small tables whole")
def test_list_models_missing_on_uses_the_index_of_desired_models(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    register_model(team, "plain")
    register_model(team, "labelled", required_labels=["gpu24"])
    Machine(machine.key, "big", ("gpu24",)).beat()
    engine = shared_registry.resources.database.engine
    for machine_name in ("any", "big"):
        with record_queries(engine, of_all_threads=True) as statements:
            assert len(list_missing(team, machine_name)) == 2
        with engine.connect() as connection:
            steps = [step for plan in statements.plans(connection) for step in plan.splitlines() if " models " in step]
        assert [step for step in steps if "ix_models_desired" not in step and "(id=?)" not in step] == []


def test_download_by_machine_without_required_labels_returns_404(team: ApiCaller, machine: Machine) -> None:
    labelled = register_model(team, "labelled", required_labels=["gpu24"])
    refused = machine.key.get(f"/models/{labelled}/download")
    assert (refused.status_code, refused.json()["error_code"]) == (404, "model_not_found")
    team.put("/agents/render-07", agent_labels=["gpu24", "north"])
    assert machine.key.get(f"/models/{labelled}/download").status_code == 307


def load_stored_and_actual_counts(registry: Harness, team: ApiCaller) -> tuple[dict[Any, int], dict[Any, int]]:
    """Return the stored counts of models and machines, and those computed from the states."""
    stored: dict[Any, int] = {}
    actual: dict[Any, int] = {}
    is_ready = AgentModelRow.state == "ready"
    is_unloaded = is_ready & AgentModelRow.reason.is_not(None)
    with registry.resources.database.reading() as session:
        for owner, count, table, condition in (
            (AgentModelRow.model_id, ModelRow.agents_ready, ModelRow, is_ready),
            (AgentModelRow.model_id, ModelRow.agents_unloaded, ModelRow, is_unloaded),
            (AgentModelRow.agent_number, AgentRow.models_ready, AgentRow, is_ready),
        ):
            key = ModelRow.id if table is ModelRow else AgentRow.number
            rows = session.execute(select(key, count).where(table.team_id == UUID(team.team_id)))
            stored |= {(count.key, row[0]): row[1] for row in rows}
            states = select(owner, func.count()).where(condition).group_by(owner)
            actual |= {(count.key, row[0]): row[1] for row in session.execute(states)}
    return stored, {owner: actual.get(owner, 0) for owner in stored}


def test_concurrent_reports_keep_the_stored_counts_correct(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    model_ids = [register_model(team, str(number)) for number in range(5)]
    machine.begin()

    def report(number: int) -> int:
        state, reason = ("ready", "not listed" if number % 4 == 1 else None) if number % 2 else ("failed", None)
        states = build_states(*model_ids[: 1 + number % 5], state=state, reason=reason)
        return machine.send(report_series="one", report_number=2, model_list=states).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(report, range(40))) == {200}
    stored, actual = load_stored_and_actual_counts(shared_registry, team)
    assert stored == actual

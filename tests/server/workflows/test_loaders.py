"""``POST /agent/loaders``: loader nodes that machines report, and what the check makes of them."""

import json
from typing import Any
from uuid import UUID

import httpx2
import pytest

from modelyard.comfyui.loader_inputs import ANY_INPUT
from modelyard.server.database.session import IDS_AT_ONCE
from modelyard.wire.agent_requests.loaders import MAX_LOADER_INPUTS
from tests.server.agents.machine import Machine, add_machine
from tests.server.harness import ApiCaller, Harness, make_model_file
from tests.server.query_plans import record_writes


@pytest.fixture
def team(module_registry: Harness) -> ApiCaller:
    """The owner of a team with a style model."""
    owner = module_registry.create_team()
    owner.register(make_model_file("ink"), "style_models/ink.safetensors")
    return owner


@pytest.fixture
def machine(module_registry: Harness, team: ApiCaller) -> Machine:
    """A machine that the registry knows."""
    machine = add_machine(module_registry, team)
    machine.begin([])
    return machine


def build_input(folder: str = "style_models", node_type: str = "StyleLoader", name: str = "style") -> dict[str, str]:
    return {"node_type": node_type, "input": name, "folder": folder}


def report(machine: Machine, *loaders: dict[str, str], agent_id: str = "render-07") -> httpx2.Response:
    return machine.key.post("/agent/loaders", agent_id=agent_id, loader_list=list(loaders))


def find_folder(team: ApiCaller, workflow: dict[str, Any]) -> tuple[str | None, str]:
    """Return the folder and the state of the only reference."""
    [found] = team.call("POST", "/workflows/check", content=json.dumps(workflow).encode()).json()["reference_list"]
    return found["folder"], found["state"]


API_FORMAT = {"1": {"class_type": "StyleLoader", "inputs": {"style": "ink.safetensors"}}}
WITHOUT_INPUTS = {"id": 1, "type": "StyleLoader", "widgets_values": ["ink.safetensors"]}
UI_FORMAT = {"nodes": [WITHOUT_INPUTS | {"inputs": [{"name": "style", "type": "COMBO", "widget": {"name": "style"}}]}]}


@pytest.mark.parametrize("workflow", [API_FORMAT, UI_FORMAT], ids=["API format", "UI format"])
def test_check_uses_the_folders_that_a_machine_reported_last(
    team: ApiCaller, machine: Machine, workflow: dict[str, Any]
) -> None:
    assert find_folder(team, workflow)[0] is None
    for _ in range(2):
        assert report(machine, build_input(), build_input("vae", "Other")).status_code == 200
        assert find_folder(team, workflow) == ("style_models", "present")
    assert report(machine, build_input("unet")).status_code == 200
    assert find_folder(team, workflow)[0] == "diffusion_models"
    assert report(machine).status_code == 200
    assert find_folder(team, workflow)[0] is None


def test_check_of_a_value_without_input_is_unknown_unless_the_node_loads_from_one_folder(
    team: ApiCaller, machine: Machine
) -> None:
    assert report(machine, build_input()).status_code == 200
    assert find_folder(team, {"nodes": [WITHOUT_INPUTS]}) == (None, "similar")
    assert report(machine, build_input(), build_input(name=ANY_INPUT)).status_code == 200
    assert find_folder(team, {"nodes": [WITHOUT_INPUTS]}) == ("style_models", "present")


def test_check_of_a_node_whose_folder_machines_do_not_agree_on_is_unknown(
    module_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    other = add_machine(module_registry, team, "render-08")
    other.begin([])
    report(machine, build_input())
    assert report(other, build_input("vae"), agent_id="render-08").status_code == 200
    assert find_folder(team, API_FORMAT)[0] is None
    assert team.delete("/agents/render-08").status_code < 300
    assert find_folder(team, API_FORMAT)[0] == "style_models"


@pytest.mark.parametrize(
    ("reported", "folder"),
    [
        ([build_input(), build_input(name=ANY_INPUT)], "style_models"),
        ([build_input("vae", "Other")], "style_models"),
        ([build_input()], None),
        ([build_input("vae", name="second"), build_input("vae", name=ANY_INPUT)], None),
        ([build_input(), build_input("vae", name="second")], None),
    ],
    ids=["agrees", "another node", "does not say so", "another folder", "two folders"],
)
def test_check_of_a_value_without_input_uses_the_only_folder_if_all_machines_with_the_node_agree(
    module_registry: Harness,
    team: ApiCaller,
    machine: Machine,
    reported: list[dict[str, str]],
    folder: str | None,
) -> None:
    other = add_machine(module_registry, team, "render-08")
    other.begin([])
    report(machine, build_input(), build_input(name=ANY_INPUT))
    assert report(other, *reported, agent_id="render-08").status_code == 200
    assert find_folder(team, {"nodes": [WITHOUT_INPUTS]})[0] == folder


def test_check_ignores_what_machines_of_other_teams_report(module_registry: Harness, machine: Machine) -> None:
    report(machine, build_input())
    assert find_folder(module_registry.create_team("Other"), API_FORMAT)[0] is None


def test_report_of_nodes_that_are_known_does_not_change_their_folder(team: ApiCaller, machine: Machine) -> None:
    report(machine, build_input("loras", "StyleModelLoader", "style_model_name"))
    node = {"class_type": "StyleModelLoader", "inputs": {"style_model_name": "ink.safetensors"}}
    assert find_folder(team, {"1": node}) == ("style_models", "present")


def test_report_of_what_is_stored_needs_no_writing_transaction(
    module_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    assert report(machine, build_input(), build_input("vae", "Other")).status_code == 200
    with module_registry.resources.database.writing(UUID(team.team_id)):
        assert report(machine, build_input("vae", "Other"), build_input()).status_code == 200


def test_report_writes_only_the_inputs_that_differ_in_few_statements(
    module_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    many = [build_input(node_type=f"Loader {number}") for number in range(MAX_LOADER_INPUTS)]
    changed = [build_input("vae", "Loader 0"), *many[2:], build_input()]
    with record_writes(module_registry.resources.database.engine, "reported_loaders") as writes:
        assert report(machine, *many).status_code == 200
        assert writes == [MAX_LOADER_INPUTS]
        assert report(machine, *changed).status_code == 200
        assert writes[1:] == [2, 2]
        assert report(machine, build_input()).status_code == 200
    assert sum(writes[3:]) == MAX_LOADER_INPUTS - 1
    assert len(writes[3:]) == MAX_LOADER_INPUTS // IDS_AT_ONCE
    assert find_folder(team, API_FORMAT) == ("style_models", "present")


@pytest.mark.parametrize(
    ("loaders", "field"),
    [
        ([build_input(node_type="a\nb")], "loader_list.0.node_type"),
        ([build_input(), build_input(name="")], "loader_list.1.input"),
        ([build_input(folder="f" * 51)], "loader_list.0.folder"),
        ([build_input(node_type="n" * 201)], "loader_list.0.node_type"),
        ([build_input(node_type=str(number)) for number in range(MAX_LOADER_INPUTS + 1)], "loader_list"),
    ],
    ids=["two lines", "empty", "long folder", "long name", "too many"],
)
def test_report_of_invalid_names_is_422(machine: Machine, loaders: list[dict[str, str]], field: str) -> None:
    refused = report(machine, *loaders)
    assert refused.status_code == 422
    assert [each["field"] for each in refused.json()["errors"]] == [field]


def test_report_for_another_machine_is_refused(machine: Machine) -> None:
    refused = report(machine, build_input(), agent_id="render-09")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/agent-unknown")


def set_table(team: ApiCaller, *loaders: dict[str, str], status: int = 200) -> httpx2.Response:
    answer = team.put("/teams/current", loader_list=list(loaders))
    assert answer.status_code == status, answer.text
    return answer


@pytest.mark.parametrize("workflow", [API_FORMAT, UI_FORMAT], ids=["API format", "UI format"])
def test_check_uses_the_folders_of_the_teams_table_before_those_of_machines(
    team: ApiCaller, machine: Machine, workflow: dict[str, Any]
) -> None:
    report(machine, build_input("unet"))
    set_table(team, build_input(), build_input("vae", "Other"))
    assert find_folder(team, workflow) == ("style_models", "present")
    set_table(team, build_input("clip"))
    assert find_folder(team, workflow)[0] == "text_encoders"
    set_table(team)
    assert find_folder(team, workflow)[0] == "diffusion_models"


def test_check_of_a_value_without_input_uses_the_only_folder_of_the_node_in_the_teams_table(team: ApiCaller) -> None:
    set_table(team, build_input(), build_input(name="second"))
    assert find_folder(team, {"nodes": [WITHOUT_INPUTS]}) == ("style_models", "present")
    set_table(team, build_input(), build_input("vae", name="second"))
    assert find_folder(team, {"nodes": [WITHOUT_INPUTS]}) == (None, "similar")


def test_set_table_that_another_caller_has_changed_is_refused(team: ApiCaller) -> None:
    first, second = build_input(), build_input(name="second")
    set_table(team, first)
    for expected in ([], None, [second], [first, second]):
        refused = team.put("/teams/current", loader_list=[second], expected_loader_list=expected)
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/loaders-changed")
    assert team.get("/teams/current").json()["loader_list"] == [first]
    changed = team.put("/teams/current", loader_list=[second, first], expected_loader_list=[first])
    assert changed.status_code == 200
    assert team.put("/teams/current", loader_list=[], expected_loader_list=[first, second]).status_code == 200


def test_set_table_with_a_node_of_the_registrys_own_tables_names_the_field(team: ApiCaller) -> None:
    answer = set_table(team, build_input(), build_input("loras", "StyleModelLoader", "style_model_name"), status=422)
    assert [each["field"] for each in answer.json()["errors"]] == ["loader_list.1.node_type"]


def test_set_table_twice_returns_it_and_records_its_change_once(team: ApiCaller) -> None:
    for _ in range(2):
        set_table(team, build_input())
    assert team.get("/teams/current").json()["loader_list"] == [build_input()]
    events = [each for each in team.get("/audit-events").json()["audit_event_list"] if each["action"] == "team.changed"]
    entry = "style of StyleLoader in style_models"
    assert [each["facts"] for each in events] == [{"loader_list": 1, "loaders_added": [entry]}]
    assert team.put("/teams/current", loader_list=None).status_code == 200
    assert team.get("/teams/current").json()["loader_list"] == []
    newest = team.get("/audit-events").json()["audit_event_list"][0]
    assert newest["facts"] == {"loader_list": 0, "loaders_removed": [entry]}


@pytest.mark.parametrize(
    ("loaders", "field"),
    [
        ([build_input(), build_input("vae")], "loader_list"),
        ([build_input(folder="f" * 51)], "loader_list.0.folder"),
        ([build_input(node_type="a\nb")], "loader_list.0.node_type"),
        ([build_input(node_type=str(number)) for number in range(501)], "loader_list"),
    ],
    ids=["repeated", "long folder", "two lines", "too many"],
)
def test_set_invalid_table_names_the_field(team: ApiCaller, loaders: list[dict[str, str]], field: str) -> None:
    assert [each["field"] for each in set_table(team, *loaders, status=422).json()["errors"]] == [field]

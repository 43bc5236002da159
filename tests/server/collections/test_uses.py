"""Which collections use a model, and in which versions."""

from typing import Any
from uuid import uuid4

import pytest

from tests.server.agents.machine import build_states
from tests.server.collections.studio import Studio
from tests.server.harness import ApiCaller, Harness, make_model_file

pytestmark = pytest.mark.slow


@pytest.fixture
def ink(team: ApiCaller) -> str:
    return team.register(make_model_file("ink"), "loras/ink.safetensors")


@pytest.fixture
def kaori(team: ApiCaller) -> str:
    return team.register(make_model_file("kaori"), "loras/kaori.safetensors")


def create(team: ApiCaller, name: str, *model_ids: str) -> str:
    created = team.post("/collections", name=name, model_list=[{"model_id": each} for each in model_ids])
    assert created.status_code == 201, created.text
    return str(created.json()["id"])


def list_uses(team: ApiCaller, model_id: str) -> list[tuple[str, list[dict[str, Any]]]]:
    listed = team.get(f"/models/{model_id}/collections").json()["collection_list"]
    return [(each["name"], each["version_list"]) for each in listed]


def use(version: int, *, is_newest: bool = True, is_on_machines: bool = False) -> dict[str, Any]:
    return {"version": version, "model_version": 1, "is_newest": is_newest, "is_on_machines": is_on_machines}


def test_model_is_used_by_newest_versions_and_not_by_older_ones(team: ApiCaller, ink: str, kaori: str) -> None:
    create(team, "Winter", ink, kaori)
    summer = create(team, "Summer", ink)
    team.post(f"/collections/{summer}/versions", model_list=[{"model_id": kaori}])
    assert list_uses(team, ink) == [("Winter", [use(1)])]
    first = team.get(f"/models/{kaori}/collections", cursor="", per_page=1).json()
    assert [each["name"] for each in first["collection_list"]] == ["Summer"]
    rest = team.get(f"/models/{kaori}/collections", cursor=first["page_meta"]["next_cursor"]).json()
    assert [each["name"] for each in rest["collection_list"]] == ["Winter"]
    unknown = team.get(f"/models/{uuid4()}/collections")
    assert (unknown.status_code, unknown.json()["error_code"]) == (404, "model_not_found")


def test_model_of_the_rolled_out_version_is_used_until_machines_have_another(
    shared_registry: Harness, team: ApiCaller
) -> None:
    studio = Studio(shared_registry, team)
    assert list_uses(team, studio.ink) == [("Winter", [use(1, is_newest=False, is_on_machines=True)])]
    assert list_uses(team, studio.kaori) == [("Winter", [use(2)])]
    rollout = studio.start(canary_label=None)
    assert list_uses(team, studio.ink) == [("Winter", [use(1, is_newest=False, is_on_machines=True)])]
    assert list_uses(team, studio.kaori) == [("Winter", [use(2, is_on_machines=True)])]
    for machine in (studio.canary, studio.other):
        machine.begin(build_states(studio.kaori), "two")
    assert studio.read(rollout)["state"] == "finished"
    assert list_uses(team, studio.ink) == []


def test_model_in_both_versions_names_the_newest_first(shared_registry: Harness, team: ApiCaller) -> None:
    studio = Studio(shared_registry, team)
    studio.add_version(studio.ink, studio.kaori)
    uses = [use(3), use(1, is_newest=False, is_on_machines=True)]
    assert list_uses(team, studio.ink) == [("Winter", uses)]


def test_rolled_out_version_without_subscriptions_is_no_use(team: ApiCaller, ink: str, kaori: str) -> None:
    winter = create(team, "Winter", ink)
    assert team.put(f"/collections/{winter}", is_held=True).status_code == 200
    team.post(f"/collections/{winter}/versions", model_list=[{"model_id": kaori}])
    assert list_uses(team, ink) == []

"""What a registration leaves as it is on a model that exists already."""

import pytest

from tests.server.harness import ApiCaller, Harness, make_model_file

CONTENT = make_model_file()


@pytest.mark.parametrize("keeps_name", [True, False])
def test_register_new_version_after_a_rename_keeps_or_sets_the_name(team: ApiCaller, keeps_name: bool) -> None:
    model_id = team.register(CONTENT, display_name="read before the upload")
    body = team.new_model(make_model_file("new"), display_name="read before the upload", keeps_name=keeps_name)
    team.put(f"/models/{model_id}", display_name="renamed meanwhile")
    assert team.post("/models", **body, replaces=model_id).status_code == 200
    kept = "renamed meanwhile" if keeps_name else "read before the upload"
    assert team.get(f"/models/{model_id}").json()["display_name"] == kept


def test_register_same_content_and_repeated_keeps_the_name_and_sets_other_fields(team: ApiCaller) -> None:
    model_id = team.register(CONTENT, display_name="renamed")
    body = team.new_model(CONTENT, display_name="ink", keeps_name=True, license="MIT")
    for _ in ("same content", "repeated"):
        assert team.post("/models", **body).json()["id"] == model_id
    model = team.get(f"/models/{model_id}").json()
    assert (model["display_name"], model["license"]) == ("renamed", "MIT")


def test_register_same_content_as_member_keeping_the_name_is_allowed(shared_registry: Harness, team: ApiCaller) -> None:
    model_id = team.register(CONTENT, display_name="renamed")
    member = shared_registry.create_member("member", team)
    answer = member.post("/models", **member.new_model(CONTENT, display_name="ink", keeps_name=True))
    assert (answer.status_code, answer.json()["id"]) == (200, model_id)


def test_register_new_model_that_keeps_its_name_gets_the_sent_one(team: ApiCaller) -> None:
    model_id = team.register(CONTENT, display_name="ink", keeps_name=True)
    assert team.get(f"/models/{model_id}").json()["display_name"] == "ink"

"""Concurrent registrations and changes: exactly one succeeds, and the others get a correct answer."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file

MANY = 16


def register_at_once(team: ApiCaller, bodies: list[dict[str, Any]]) -> list[Any]:
    with ThreadPoolExecutor(MANY) as threads:
        return list(threads.map(lambda body: team.post("/models", **body), bodies))


def test_register_16_identical_requests_at_once_create_one_model(team: ApiCaller) -> None:
    answers = register_at_once(team, [team.new_model(make_model_file())] * MANY)
    assert sorted(answer.status_code for answer in answers) == [200] * (MANY - 1) + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert team.get("/models").json()["page_meta"]["total_count"] == 1


def test_register_16_contents_at_one_path_at_once_creates_one_model_and_15_conflicts(
    shared_registry: Harness, team: ApiCaller
) -> None:
    contents = [make_model_file(f"writer {number}", 100 + number) for number in range(MANY)]
    answers = register_at_once(team, [team.new_model(content) for content in contents])
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * (MANY - 1)
    winner = next(number for number, answer in enumerate(answers) if answer.status_code == 201)
    [model] = team.get("/models").json()["model_list"]
    team.wait_until_verified(model["id"])
    assert (model["id"], model["file_hash"]) == (answers[winner].json()["id"], hash_of(contents[winner]))
    losers = [answer.json() for answer in answers if answer.status_code == 409]
    assert {loser["held_hash"] for loser in losers} == {model["file_hash"]}
    url = team.get(f"/models/{model['id']}/download", redirect="false").json()["download_url"]
    assert shared_registry.client.get(url).content == contents[winner]


def test_register_16_versions_of_one_model_at_once_adds_all(team: ApiCaller) -> None:
    model_id = team.register(make_model_file("old"))
    contents = [make_model_file(f"new {number}", 100 + number) for number in range(MANY)]
    answers = register_at_once(team, [team.new_model(content, replaces=model_id) for content in contents])
    assert [answer.status_code for answer in answers] == [200] * MANY
    team.wait_until_verified(model_id)
    versions = team.get(f"/models/{model_id}/versions", per_page=100).json()["version_list"]
    assert [version["version"] for version in versions] == list(range(MANY + 1, 0, -1))
    assert [version["version_status"] for version in versions].count("current") == 1


def test_register_16_versions_with_one_expected_version_at_once_adds_one(team: ApiCaller) -> None:
    model_id = team.register(make_model_file("old"))
    contents = [make_model_file(f"new {number}", 100 + number) for number in range(MANY)]
    bodies = [team.new_model(content, replaces=model_id, expected_version=1) for content in contents]
    answers = register_at_once(team, bodies)
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * (MANY - 1)
    assert team.get(f"/models/{model_id}/versions").json()["page_meta"]["total_count"] == 2


def test_change_16_requests_with_one_etag_at_once_only_one_succeeds(team: ApiCaller) -> None:
    model_id = team.register(make_model_file())
    etag = team.get(f"/models/{model_id}").headers["ETag"]

    def change(number: int) -> int:
        body = {"description": f"change {number}"}
        return team.call("PUT", f"/models/{model_id}", json=body, headers={"If-Match": etag}).status_code

    with ThreadPoolExecutor(MANY) as threads:
        assert sorted(threads.map(change, range(MANY))) == [200] + [412] * (MANY - 1)

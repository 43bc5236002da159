"""Many at once: one winner, and nobody is lied to."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.server.world import Someone, World, a_model_file, hash_of

MANY = 16


def at_once(team: Someone, bodies: list[dict[str, Any]]) -> list[Any]:
    with ThreadPoolExecutor(MANY) as threads:
        return list(threads.map(lambda body: team.post("/models", **body), bodies))


def test_sixteen_identical_registrations_make_one_model(team: Someone) -> None:
    answers = at_once(team, [team.new_model(a_model_file())] * MANY)
    assert sorted(answer.status_code for answer in answers) == [200] * (MANY - 1) + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert team.get("/models").json()["page_meta"]["total_count"] == 1


def test_of_sixteen_writers_of_one_path_one_wins_and_its_bytes_are_served(shared_world: World, team: Someone) -> None:
    contents = [a_model_file(f"writer {number}", 100 + number) for number in range(MANY)]
    answers = at_once(team, [team.new_model(content) for content in contents])
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * (MANY - 1)
    winner = next(number for number, answer in enumerate(answers) if answer.status_code == 201)
    [model] = team.get("/models").json()["model_list"]
    team.wait_until_read(model["id"])
    assert (model["id"], model["file_hash"]) == (answers[winner].json()["id"], hash_of(contents[winner]))
    losers = [answer.json() for answer in answers if answer.status_code == 409]
    assert {loser["held_hash"] for loser in losers} == {model["file_hash"]}
    url = team.get(f"/models/{model['id']}/download", redirect="false").json()["download_url"]
    assert shared_world.client.get(url).content == contents[winner]


def test_of_sixteen_replacements_of_one_model_one_is_in_its_place(team: Someone) -> None:
    old = team.register(a_model_file("old"))
    contents = [a_model_file(f"new {number}", 100 + number) for number in range(MANY)]
    answers = at_once(team, [team.new_model(content, replaces=old) for content in contents])
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * (MANY - 1)
    assert team.get("/models").json()["page_meta"]["total_count"] == 1


def test_changes_with_one_etag_succeed_once(team: Someone) -> None:
    model_id = team.register(a_model_file())
    etag = team.get(f"/models/{model_id}").headers["ETag"]

    def change(number: int) -> int:
        body = {"description": f"change {number}"}
        return team.call("PUT", f"/models/{model_id}", json=body, headers={"If-Match": etag}).status_code

    with ThreadPoolExecutor(MANY) as threads:
        assert sorted(threads.map(change, range(MANY))) == [200] + [412] * (MANY - 1)

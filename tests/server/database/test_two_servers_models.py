"""Two servers race each other over models and bytes, on one database, again and again."""

from functools import partial
from uuid import UUID

import pytest

from modelyard.server.teams.operations import restore_team
from tests.server.database.two_servers import OPEN_UPLOADS, ROUNDS, TwoServers, at_once, codes
from tests.server.harness import ApiCaller, make_model_file

pytestmark = [pytest.mark.slow, pytest.mark.race]


def path_of(number: int) -> str:
    return f"loras/{number}.safetensors"


def test_register_same_path_on_two_servers_creates_one_model(servers: TwoServers) -> None:
    for number, team in servers.rounds_with_new_teams():
        bodies = [team.new_model(make_model_file(f"{number} {word}"), path_of(number)) for word in ("one", "two")]
        pairs = zip(servers.both(team), bodies, strict=True)
        made = at_once(*(partial(someone.post, "/models", **body) for someone, body in pairs))
        assert codes(made) == [(201, ""), (409, "model_path_taken")]


def test_register_same_request_on_two_servers_creates_one_model(servers: TwoServers, team: ApiCaller) -> None:
    for number in range(ROUNDS):
        body = team.new_model(make_model_file(f"same {number}"), path_of(number))
        made = at_once(*(partial(someone.post, "/models", **body) for someone in servers.both(team)))
        assert codes(made) == [(200, ""), (201, "")]
        assert len({answer.json()["id"] for answer in made}) == 1


def test_register_same_upload_on_two_servers_creates_one_model(servers: TwoServers, team: ApiCaller) -> None:
    for number in range(ROUNDS):
        body = team.new_model(make_model_file(f"upload {number}"), path_of(number))
        bodies = [body, body | {"model_path": f"loras/other-{number}.safetensors"}]
        pairs = zip(servers.both(team), bodies, strict=True)
        made = at_once(*(partial(someone.post, "/models", **one) for someone, one in pairs))
        assert codes(made) == [(201, ""), (409, "upload_used")]


def test_delete_and_restore_model_at_once_are_serialised(servers: TwoServers, team: ApiCaller) -> None:
    model_id = team.register(make_model_file("back and forth"))
    for _ in range(ROUNDS):
        one, two = servers.both(team)
        deleted = at_once(*(partial(someone.delete, f"/models/{model_id}") for someone in (one, two)))
        assert codes(deleted) == [(204, ""), (404, "model_not_found")]
        restored = at_once(*(partial(someone.post, f"/models/{model_id}/restore") for someone in (one, two)))
        assert codes(restored) == [(200, ""), (404, "model_not_found")]
        gone, back = at_once(
            partial(one.delete, f"/models/{model_id}"), partial(two.post, f"/models/{model_id}/restore")
        )
        assert (gone.status_code, back.status_code) in ((204, 200), (204, 404))
        if back.status_code == 404:
            assert one.post(f"/models/{model_id}/restore").status_code == 200


def test_restore_and_register_path_at_once_one_succeeds(servers: TwoServers) -> None:
    for number, team in servers.rounds_with_new_teams():
        old = team.register(make_model_file(f"old {number}"), path_of(number))
        team.delete(f"/models/{old}")
        body = team.new_model(make_model_file(f"new {number}"), path_of(number))
        answers = at_once(
            partial(servers.on(0, team).post, f"/models/{old}/restore"),
            partial(servers.on(1, team).post, "/models", **body),
        )
        assert codes(answers) in ([(200, ""), (409, "model_path_taken")], [(201, ""), (409, "model_path_taken")])


def test_start_upload_on_two_servers_respects_quota(servers: TwoServers) -> None:
    content = make_model_file("quota")
    for number, team in servers.rounds_with_new_teams():
        team.put("/teams/current", quota_bytes=len(content) + 10)
        asked = at_once(
            *(partial(someone.presign, content, path_of(number)) for someone in servers.both(team) + servers.both(team))
        )
        assert codes(asked) == [(200, ""), *[(403, "quota_exceeded")] * 3]


def test_start_upload_on_two_servers_respects_open_upload_limit(servers: TwoServers) -> None:
    for number, team in servers.rounds_with_new_teams():
        for _ in range(OPEN_UPLOADS - 2):
            assert team.presign(make_model_file(), path_of(number)).status_code == 200
        callers = servers.both(team) * 2
        asked = at_once(*(partial(someone.presign, make_model_file(), path_of(number)) for someone in callers))
        assert codes(asked) == [*[(200, "")] * 2, *[(429, "too_many_uploads")] * 2]


def test_remove_member_during_register_is_serialised(servers: TwoServers) -> None:
    for number, team in servers.rounds_with_new_teams():
        member = servers.registry.create_member("member", team)
        body = member.new_model(make_model_file(f"farewell {number}"), path_of(number))
        removed, made = at_once(
            partial(servers.on(0, team).delete, f"/members/{member.user_id}"),
            partial(servers.on(1, member).post, "/models", **body),
        )
        assert removed.status_code == 204
        assert made.status_code in (201, 403)
        is_there = team.get("/models", q=path_of(number)).json()["page_meta"]["total_count"] == 1
        assert is_there == (made.status_code == 201)
        assert servers.on(1, member).post("/models", **body).status_code == 403


def test_delete_team_during_register_is_restored_whole(servers: TwoServers) -> None:
    for number, team in servers.rounds_with_new_teams():
        body = team.new_model(make_model_file(f"end {number}"))
        deleted, made = at_once(
            partial(servers.on(0, team).delete, "/teams/current"),
            partial(servers.on(1, team).post, "/models", **body),
        )
        assert deleted.status_code == 204
        assert made.status_code in (201, 403, 404)
        with servers.registry.resources.database.writing(UUID(team.team_id)) as session:
            restore_team(session, UUID(team.team_id))
        assert len(team.get("/models").json()["model_list"]) == (made.status_code == 201)


def test_revoke_key_during_register_is_serialised(servers: TwoServers) -> None:
    for number, team in servers.rounds_with_new_teams():
        made = team.post("/credentials", kind="integration", display_name="farm").json()
        key = ApiCaller(team.client, made["raw_key"])
        body = key.new_model(make_model_file(f"key {number}"), path_of(number))
        revoked, registered = at_once(
            partial(servers.on(0, team).delete, f"/credentials/{made['id']}"),
            partial(servers.on(1, key).post, "/models", **body),
        )
        assert revoked.status_code == 204
        assert registered.status_code in (201, 401)

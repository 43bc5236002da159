"""Section 1 of the contract: what every route has in common."""

import json
import re
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from tests.server.world import Someone, World, a_model_file

CONTENT = a_model_file()
# One route of each kind: with a body and without, below a team and not.
BODY_ROUTES = [
    ("POST", "/models"),
    ("POST", "/models/presign"),
    ("PUT", f"/models/{UUID(int=7)}"),
    ("POST", "/uploads/multipart/initiate"),
    ("POST", "/credentials"),
    ("POST", "/teams"),
    ("PUT", "/teams/current"),
    ("PUT", "/users/me/password"),
    ("PUT", "/agents/nobody"),
]
TEAM_ROUTES = [
    ("GET", "/models"),
    ("GET", "/models/no-uuid"),
    ("GET", "/models/no-uuid/download"),
    ("POST", "/models/no-uuid/restore"),
    ("GET", "/members"),
    ("GET", "/credentials"),
    ("GET", "/invitations"),
    ("GET", "/audit-events"),
    ("GET", "/teams/current"),
    ("GET", "/agents"),
    ("GET", "/agents/nobody/models"),
    ("POST", "/agents/nobody/sync"),
    *[route for route in BODY_ROUTES if route[1].split("/")[1] not in ("uploads", "users") and route[1] != "/teams"],
]


def text_of(answer: httpx2.Response) -> str:
    """The body without its request id, and the headers that tell why."""
    body = answer.json()
    assert body.pop("request_id")
    return f"{body} {answer.headers.get('WWW-Authenticate')}"


# Answers.


def test_a_problem_has_the_members_of_rfc_9457_and_the_sources_name(team: Someone) -> None:
    answer = team.get(f"/models/{uuid4()}")
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "/problems/model-not-found"
    assert problem["error_code"] == "model_not_found"
    assert problem["status"] == answer.status_code == 404
    assert problem["detail"] == problem["error_message"]
    assert problem["title"]
    assert problem["request_id"] == answer.headers["X-Request-ID"]


def test_ids_are_version_seven_and_times_are_rfc_3339_in_utc(team: Someone) -> None:
    model = team.get(f"/models/{team.register(CONTENT)}").json()
    assert UUID(model["id"]).version == 7
    for name in ("created_at", "updated_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", model[name])
        assert datetime.fromisoformat(model[name]).utcoffset() is not None


def test_create_update_action_and_delete_answer_what_the_contract_says(team: Someone) -> None:
    made = team.post("/models", **team.new_model(CONTENT))
    model_id = made.json()["id"]
    assert (made.status_code, made.json()) == (201, {"id": model_id})
    changed = team.put(f"/models/{model_id}", display_name="New")
    assert (changed.status_code, changed.json()) == (200, {"id": model_id})
    deleted = team.delete(f"/models/{model_id}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    restored = team.post(f"/models/{model_id}/restore")
    assert (restored.status_code, restored.json()) == (200, {"is_success": True})


# The order of refusal: 401, 400 for the header, 403, then the body.


@pytest.mark.parametrize(("method", "path"), TEAM_ROUTES)
def test_who_comes_before_which_team_and_both_before_the_body(world_of_one: "Callers", method: str, path: str) -> None:
    broken: dict[str, Any] = {"content": b"{", "headers": {"Content-Type": "text/plain"}} if method != "GET" else {}
    team = world_of_one.owner

    def code(someone: Someone, **more: str) -> tuple[int, str]:
        arguments = {**broken, "headers": {**broken.get("headers", {}), **more}}
        answer = someone.call(method, path, **arguments)
        return answer.status_code, answer.json().get("error_code", "")

    bare = Someone(team.client, team.token)
    assert code(world_of_one.nobody, **{"X-Team-ID": "x"}) == (401, "unauthenticated")
    assert code(bare) == (400, "team_header_missing")
    for malformed in ("x", "", f"{{{team.team_id}}}", f"{team.team_id} ", "0" * 32):
        assert code(bare, **{"X-Team-ID": malformed}) in ((400, "team_header_malformed"), (400, "team_header_missing"))
    assert code(bare, **{"X-Team-ID": str(uuid4())}) == (403, "not_a_member")
    assert code(world_of_one.foreign) == (403, "not_a_member")


class Callers:
    """The same module's world, by who calls."""

    def __init__(self, world: World) -> None:
        self.owner = world.owner
        self.nobody = Someone(world.client, None)
        stranger = world.other_team()
        self.foreign = Someone(world.client, stranger.token, world.team_id)


@pytest.fixture(scope="module")
def world_of_one(shared_world: World) -> Callers:
    return Callers(shared_world)


@pytest.mark.parametrize("path", ["/models", "/models/presign"])
def test_a_viewer_is_refused_before_the_body_is_looked_at(shared_world: World, team: Someone, path: str) -> None:
    viewer = shared_world.person("viewer", team)
    assert viewer.call("POST", path, content=b"{").json()["error_code"] == "role_too_low"


def test_one_body_for_every_token_that_is_none(shared_world: World, team: Someone) -> None:
    revoked = shared_world.key("integration", team)
    [key] = team.get("/credentials").json()["credentials"]
    team.delete(f"/credentials/{key['id']}")
    real = team.token or ""
    tokens = [
        None,
        "",
        "x",
        "sk-",
        "sk-" + "a" * 49,
        "dk-x",
        "ak-x",
        "zz-x",
        revoked.token,
        real[:-4],
        real + "x",
        "eyJ",
    ]
    answers = [Someone(team.client, token).get("/models") for token in tokens]
    answers += [team.client.get("/api/v1/models", headers={"Authorization": text}) for text in ("Basic eDp5", "Bearer")]
    assert {answer.status_code for answer in answers} == {401}
    assert len({text_of(answer) for answer in answers}) == 1
    assert answers[0].headers["WWW-Authenticate"].startswith("Bearer")


def test_a_team_that_is_none_and_one_that_is_not_yours_look_the_same(world_of_one: Callers) -> None:
    answers = [world_of_one.foreign.get("/models")]
    answers += [Someone(world_of_one.owner.client, world_of_one.owner.token, str(uuid4())).get("/models")]
    assert len({text_of(answer) for answer in answers}) == 1


@pytest.mark.parametrize("header", ["no-uuid", str(UUID(int=1)), ""])
def test_a_keys_team_is_on_its_row_and_its_header_is_ignored(shared_world: World, team: Someone, header: str) -> None:
    team.register(CONTENT)
    key = Someone(team.client, shared_world.key("integration", team).token, header)
    assert key.get("/models").json()["page_meta"]["total_count"] == 1


# Bodies.


@pytest.mark.parametrize(("method", "path"), BODY_ROUTES)
@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"", 422, "invalid_request"),
        (b'{"a": 1, "a": 2}', 400, "malformed_json"),
        (b'{"a": NaN}', 400, "malformed_json"),
        (b'{"a": -Infinity}', 400, "malformed_json"),
        (b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", 400, "malformed_json"),
        (b"[" * 10_000, 400, "malformed_json"),
        (b'{"a": "\xff"}', 400, "malformed_json"),
        (b"\xef\xbb\xbf{}", 400, "malformed_json"),
        (b'{"a": ' + b"1" * 5000 + b"}", 400, "malformed_json"),
        (b'{"a": "' + b"x" * 1_100_000 + b'"}', 413, "body_too_large"),
        (b"[]", 422, "invalid_request"),
        (b"null", 422, "invalid_request"),
        (b'"text"', 422, "invalid_request"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_body_that_is_none_is_refused(
    world_of_one: Callers, method: str, path: str, content: bytes, status: int, code: str
) -> None:
    answer = world_of_one.owner.call(method, path, content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
def test_a_body_is_json_and_says_so(world_of_one: Callers, media_type: str) -> None:
    answer = world_of_one.owner.call("POST", "/models", content=b"{}", headers={"Content-Type": media_type})
    assert (answer.status_code, answer.json()["error_code"]) == (415, "unsupported_media_type")


def test_all_faults_of_a_body_are_told_at_once_with_their_fields(team: Someone) -> None:
    refused = team.post(
        "/models", display_name="", model_type=5, file_size="5", tags=["a", 1], source_url="javascript:x"
    )
    assert refused.status_code == 422
    errors = refused.json()["errors"]
    assert {error["field"] for error in errors} == {
        *("display_name", "model_type", "storage_key", "file_size", "file_hash", "model_path", "tags.1", "source_url")
    }
    assert all(error["message"] for error in errors)


@pytest.mark.parametrize("number", ["5", True, 5.0, 5.5, None, [5], 0, -1, 2**63])
def test_a_size_is_a_positive_integer_of_64_bits_and_nothing_that_could_become_one(team: Someone, number: Any) -> None:
    refused = team.presign(CONTENT, file_size=number)
    assert [error["field"] for error in refused.json()["errors"]] == ["file_size"]


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "a\x00b", "a\nb", "\x7f", 5, None, ["a"], "", "x" * 256])
def test_a_name_is_text_of_one_line(team: Someone, text: Any) -> None:
    body = team.new_model(CONTENT, storage_key="models/x", display_name=text)
    refused = team.call("POST", "/models", content=_ascii_json(body), headers={"Content-Type": "application/json"})
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["display_name"]


def _ascii_json(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=True).encode()


@pytest.mark.parametrize("name", ["x" * 255, "模型 🎨", "a'b\"c<d>", "%s{0}", "  spaced  "])
def test_a_name_is_kept_as_sent(team: Someone, name: str) -> None:
    model_id = team.register(CONTENT, display_name=name)
    assert team.get(f"/models/{model_id}").json()["display_name"] == name


@pytest.mark.parametrize(
    "text", ["no-uuid", "../..", "%00", "' or 1=1", str(UUID(int=5))[:-1], UUID(int=5).hex, "{id}"]
)
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/models/{}", 404),
        ("PUT", "/models/{}", 404),
        ("DELETE", "/models/{}", 404),
        ("GET", "/models/{}/download", 404),
        ("DELETE", "/members/{}", 404),
        ("DELETE", "/invitations/{}", 404),
        ("DELETE", "/credentials/{}", 400),
    ],
)
def test_a_malformed_id_in_a_path_is_what_does_not_exist(
    world_of_one: Callers, method: str, path: str, status: int, text: str
) -> None:
    address = path.format(text.replace("/", "%2F").replace(" ", "%20"))
    answer = world_of_one.owner.call(method, address, json={} if method == "PUT" else None)
    # A slash that was decoded on the way makes another address of it, where there is nothing either.
    assert answer.status_code in ({status} if "/" not in text else {status, 404, 405})
    assert text not in answer.json()["detail"]


# Addresses.


def test_an_address_without_a_route_and_a_method_without_one_are_problems(shared_world: World) -> None:
    missing = shared_world.owner.get("/nothing/here")
    assert (missing.status_code, missing.json()["error_code"]) == (404, "route_not_found")
    refused = shared_world.owner.call("PATCH", "/models")
    assert (refused.status_code, refused.json()["error_code"]) == (405, "method_not_allowed")
    assert "GET" in refused.headers["Allow"]


def test_a_slash_too_many_is_another_address(shared_world: World) -> None:
    assert shared_world.owner.get("/models/").status_code == 404


@pytest.mark.parametrize(
    ("sent", "is_kept"), [("my-id.1", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("a\tb", False)]
)
def test_a_harmless_request_id_is_echoed_and_any_other_replaced(team: Someone, sent: str, is_kept: bool) -> None:
    answer = team.call("GET", f"/models/{uuid4()}", headers={"X-Request-ID": sent})
    assert (answer.headers["X-Request-ID"] == sent) is is_kept
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


def test_pages_of_other_origins_are_not_let_in(team: Someone) -> None:
    answer = team.call("GET", "/models", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    preflight = team.client.options(
        "/api/v1/models", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    )
    assert preflight.status_code == 405
    assert not [name for name in preflight.headers if name.lower().startswith("access-control")]


def test_two_authorization_headers_are_one_too_many_for_every_route_that_reads_one(world_of_one: Callers) -> None:
    team = world_of_one.owner
    secured = [
        (method, re.sub(r"\{\w+\}", "no-uuid", path))
        for path, methods in team.client.get("/api/v1/openapi.json").json()["paths"].items()
        for method, operation in methods.items()
        if "two-credentials" in str(operation["responses"]) or operation.get("security")
    ]
    assert len(secured) >= 30
    headers = [("Authorization", f"Bearer {team.token}")] * 2
    answers = {route: team.client.request(*route, headers=headers) for route in secured}
    assert {route: answer.json()["error_code"] for route, answer in answers.items()} == dict.fromkeys(
        secured, "two_credentials"
    )


@pytest.mark.parametrize("action", ["initiate", "presign", "complete", "abort"])
def test_a_key_that_may_never_upload_is_refused_before_the_body_is_looked_at(
    shared_world: World, team: Someone, action: str
) -> None:
    for key in (shared_world.key("integration", team, access="read"), shared_world.key("agent", team)):
        refused = key.call("POST", f"/uploads/multipart/{action}", content=b"{")
        assert (refused.status_code, refused.json()["error_code"]) == (403, "key_not_allowed")

"""Section 1 of the API contract: conventions that all routes share."""

import json
import re
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from modelyard.wire.schemas import MAX_INT64
from tests.server.harness import ApiCaller, Harness, make_model_file

CONTENT = make_model_file()
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


def get_text_without_request_id(answer: httpx2.Response) -> str:
    """Return the body without its request id, and the header ``WWW-Authenticate``."""
    body = answer.json()
    assert body.pop("request_id")
    return f"{body} {answer.headers.get('WWW-Authenticate')}"


# Responses.


def test_problem_response_has_rfc_9457_members_and_error_message(team: ApiCaller) -> None:
    answer = team.get(f"/models/{uuid4()}")
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "/problems/model-not-found"
    assert problem["error_code"] == "model_not_found"
    assert problem["status"] == answer.status_code == 404
    assert problem["detail"] == problem["error_message"]
    assert problem["title"]
    assert problem["request_id"] == answer.headers["X-Request-ID"]


def test_model_id_is_uuid_version_7_and_times_are_rfc_3339_in_utc(team: ApiCaller) -> None:
    model = team.get(f"/models/{team.register(CONTENT)}").json()
    assert UUID(model["id"]).version == 7
    for name in ("created_at", "updated_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", model[name])
        assert datetime.fromisoformat(model[name]).utcoffset() is not None


def test_create_update_delete_and_restore_return_documented_status_and_body(team: ApiCaller) -> None:
    created = team.post("/models", **team.new_model(CONTENT))
    model_id = created.json()["id"]
    assert (created.status_code, created.json()) == (201, {"id": model_id})
    changed = team.put(f"/models/{model_id}", display_name="New")
    assert (changed.status_code, changed.json()) == (200, {"id": model_id})
    deleted = team.delete(f"/models/{model_id}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    restored = team.post(f"/models/{model_id}/restore")
    assert (restored.status_code, restored.json()) == (200, {"is_success": True})


# The order of checks: 401, 400 for the team header, 403, then the body.


@pytest.mark.parametrize(("method", "path"), TEAM_ROUTES)
def test_team_routes_check_token_then_team_header_before_the_body(
    callers: "CallersByKind", method: str, path: str
) -> None:
    broken: dict[str, Any] = {"content": b"{", "headers": {"Content-Type": "text/plain"}} if method != "GET" else {}
    team = callers.owner

    def code(caller: ApiCaller, **more: str) -> tuple[int, str]:
        arguments = {**broken, "headers": {**broken.get("headers", {}), **more}}
        answer = caller.call(method, path, **arguments)
        return answer.status_code, answer.json().get("error_code", "")

    without_team = ApiCaller(team.client, team.token)
    assert code(callers.anonymous, **{"X-Team-ID": "x"}) == (401, "unauthenticated")
    assert code(without_team) == (400, "team_header_missing")
    for malformed in ("x", "", f"{{{team.team_id}}}", f"{team.team_id} ", "0" * 32):
        assert code(without_team, **{"X-Team-ID": malformed}) in (
            (400, "team_header_malformed"),
            (400, "team_header_missing"),
        )
    assert code(without_team, **{"X-Team-ID": str(uuid4())}) == (403, "not_a_member")
    assert code(callers.foreign) == (403, "not_a_member")


class CallersByKind:
    """Callers of the shared registry: the owner, one without a token, and a member of another team."""

    def __init__(self, registry: Harness) -> None:
        self.owner = registry.owner
        self.anonymous = ApiCaller(registry.client, None)
        other_team = registry.create_other_team()
        self.foreign = ApiCaller(registry.client, other_team.token, registry.team_id)


@pytest.fixture(scope="module")
def callers(shared_registry: Harness) -> CallersByKind:
    return CallersByKind(shared_registry)


@pytest.mark.parametrize("path", ["/models", "/models/presign"])
def test_upload_routes_called_by_viewer_with_malformed_body_return_role_too_low(
    shared_registry: Harness, team: ApiCaller, path: str
) -> None:
    viewer = shared_registry.create_member("viewer", team)
    assert viewer.call("POST", path, content=b"{").json()["error_code"] == "role_too_low"


def test_invalid_tokens_of_all_kinds_return_the_same_401(shared_registry: Harness, team: ApiCaller) -> None:
    revoked = shared_registry.create_key("integration", team)
    [key] = team.get("/credentials").json()["credentials"]
    team.delete(f"/credentials/{key['id']}")
    valid_token = team.token or ""
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
        valid_token[:-4],
        valid_token + "x",
        "eyJ",
    ]
    answers = [ApiCaller(team.client, token).get("/models") for token in tokens]
    answers += [team.client.get("/api/v1/models", headers={"Authorization": text}) for text in ("Basic eDp5", "Bearer")]
    assert {answer.status_code for answer in answers} == {401}
    assert len({get_text_without_request_id(answer) for answer in answers}) == 1
    assert answers[0].headers["WWW-Authenticate"].startswith("Bearer")


def test_unknown_team_and_foreign_team_return_the_same_problem(callers: CallersByKind) -> None:
    answers = [callers.foreign.get("/models")]
    answers += [ApiCaller(callers.owner.client, callers.owner.token, str(uuid4())).get("/models")]
    assert len({get_text_without_request_id(answer) for answer in answers}) == 1


@pytest.mark.parametrize("header", ["no-uuid", str(UUID(int=1)), ""])
def test_list_models_with_key_ignores_any_team_header(shared_registry: Harness, team: ApiCaller, header: str) -> None:
    team.register(CONTENT)
    key = ApiCaller(team.client, shared_registry.create_key("integration", team).token, header)
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
        (b'{"a": [' + b"[[[[[[[[[]]]]]]]]]," * 49_800 + b"0]}", 400, "malformed_json"),
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
def test_body_routes_malformed_json_or_wrong_type_is_refused(
    callers: CallersByKind, method: str, path: str, content: bytes, status: int, code: str
) -> None:
    if (method, path, status) == ("POST", "/models", 413):
        content *= 4  # The files of a folder are listed in up to 4 MiB, all other bodies have at most 1 MiB.
    answer = callers.owner.call(method, path, content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
def test_body_without_json_content_type_returns_415(callers: CallersByKind, media_type: str) -> None:
    answer = callers.owner.call("POST", "/models", content=b"{}", headers={"Content-Type": media_type})
    assert (answer.status_code, answer.json()["error_code"]) == (415, "unsupported_media_type")


def test_register_body_with_several_invalid_fields_returns_422_with_all_of_them(team: ApiCaller) -> None:
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
def test_presign_file_size_that_is_not_a_positive_int64_returns_422(team: ApiCaller, number: Any) -> None:
    refused = team.presign(CONTENT, file_size=number)
    assert [error["field"] for error in refused.json()["errors"]] == ["file_size"]


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 4_000, "1E2", "-0.0"])
def test_presign_file_size_that_is_no_integer_in_json_returns_422(team: ApiCaller, number: str) -> None:
    content, headers = f'{{"file_size": {number}}}'.encode(), {"Content-Type": "application/json"}
    refused = team.call("POST", "/models/presign", content=content, headers=headers)
    assert refused.status_code == 422
    assert "file_size" in {error["field"] for error in refused.json()["errors"]}


@pytest.mark.parametrize(
    ("number", "bound"), [("9" * 25, MAX_INT64), ("9" * 400, MAX_INT64), (f"-{'9' * 4_000}", 1)], ids=ascii
)
def test_presign_file_size_of_too_many_digits_returns_422_with_the_bound(
    team: ApiCaller, number: str, bound: int
) -> None:
    content, headers = f'{{"file_size": {number}}}'.encode(), {"Content-Type": "application/json"}
    errors = team.call("POST", "/models/presign", content=content, headers=headers).json()["errors"]
    [message] = [error["message"] for error in errors if error["field"] == "file_size"]
    assert message.endswith(f"equal to {bound}")


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "a\x00b", "a\nb", "\x7f", 5, None, ["a"], "", "x" * 256])
def test_register_invalid_display_name_returns_422(team: ApiCaller, text: Any) -> None:
    body = team.new_model(CONTENT, storage_key="models/x", display_name=text)
    refused = team.call("POST", "/models", content=_ascii_json(body), headers={"Content-Type": "application/json"})
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["display_name"]


def _ascii_json(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=True).encode()


@pytest.mark.parametrize("name", ["x" * 255, "模型 🎨", "a'b\"c<d>", "%s{0}", "  spaced  "])
def test_register_display_name_is_returned_as_sent(team: ApiCaller, name: str) -> None:
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
def test_malformed_id_in_path_returns_status_of_unknown_id_without_echo(
    callers: CallersByKind, method: str, path: str, status: int, text: str
) -> None:
    address = path.format(text.replace("/", "%2F").replace(" ", "%20"))
    answer = callers.owner.call(method, address, json={} if method == "PUT" else None)
    # A decoded slash makes it another path, which has no route.
    assert answer.status_code in ({status} if "/" not in text else {status, 404, 405})
    assert text not in answer.json()["detail"]


# Addresses.


def test_unknown_route_returns_404_problem_and_unknown_method_405_problem(shared_registry: Harness) -> None:
    missing = shared_registry.owner.get("/nothing/here")
    assert (missing.status_code, missing.json()["error_code"]) == (404, "route_not_found")
    refused = shared_registry.owner.call("PATCH", "/models")
    assert (refused.status_code, refused.json()["error_code"]) == (405, "method_not_allowed")
    assert "GET" in refused.headers["Allow"]


def test_request_with_trailing_slash_returns_404(shared_registry: Harness) -> None:
    assert shared_registry.owner.get("/models/").status_code == 404


@pytest.mark.parametrize(
    ("sent", "is_echoed"), [("my-id.1", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("a\tb", False)]
)
def test_request_id_up_to_64_safe_characters_is_echoed_and_others_are_replaced(
    team: ApiCaller, sent: str, is_echoed: bool
) -> None:
    answer = team.call("GET", f"/models/{uuid4()}", headers={"X-Request-ID": sent})
    assert (answer.headers["X-Request-ID"] == sent) is is_echoed
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


def test_cross_origin_requests_get_no_cors_headers_and_preflight_returns_405(team: ApiCaller) -> None:
    answer = team.call("GET", "/models", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    preflight = team.client.options(
        "/api/v1/models", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    )
    assert preflight.status_code == 405
    assert not [name for name in preflight.headers if name.lower().startswith("access-control")]


def test_two_authorization_headers_on_every_authenticated_route_are_refused(callers: CallersByKind) -> None:
    team = callers.owner
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
def test_multipart_routes_called_by_read_or_agent_key_with_malformed_body_return_403(
    shared_registry: Harness, team: ApiCaller, action: str
) -> None:
    for key in (
        shared_registry.create_key("integration", team, access="read"),
        shared_registry.create_key("agent", team),
    ):
        refused = key.call("POST", f"/uploads/multipart/{action}", content=b"{")
        assert (refused.status_code, refused.json()["error_code"]) == (403, "key_not_allowed")

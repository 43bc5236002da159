"""Invalid values for every body field and query parameter of the API: each is refused, and nothing changes."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.attacks.api_fields import Field, iterate_body_fields, iterate_operations, iterate_query_parameters
from tests.attacks.state_snapshot import DatabaseRows, list_store_files
from tests.running import RunningServer
from tests.server.environments import CLOSED_HOST
from tests.server.harness import ApiCaller

pytestmark = [
    pytest.mark.slow,
    pytest.mark.extended(
        reason="a sweep over every field and parameter; tests/server/contract has cases of each operation"
    ),
]

MEBIBYTE = 1024 * 1024
MACHINE = "render-07"
# Its values that the registry cannot read are named in the answer, and the others count.
HEARTBEAT = "/api/v1/agent/heartbeat"
# Routes of a machine whose query needs its name.
AGENT_QUERIES = ("/api/v1/agent/manifest", "/api/v1/agent/models")


class Target:
    """A registry with one model, a collection, a machine and their callers, and the state that must not change."""

    def __init__(self, server: RunningServer) -> None:
        self.owner: ApiCaller = server.owner()
        self.model_id = self.owner.register()
        self.collection_id = self.owner.post("/collections", name="Project", model_list=[]).json()["id"]
        collection = f"/collections/{self.collection_id}"
        assert self.owner.put(collection, is_held=True).status_code == 200
        assert self.owner.post(f"{collection}/versions", model_list=[{"model_id": self.model_id}]).status_code == 201
        self.rollout_id = self.owner.post(f"{collection}/rollouts", version=2).json()["id"]
        # A running one would change by itself.
        assert self.owner.post(f"{collection}/rollouts/{self.rollout_id}/stop").status_code == 200
        hook = {"display_name": "Chat", "url": f"http://{CLOSED_HOST}/hooks", "event_list": ["model.failed"]}
        self.webhook_id = self.owner.post("/webhooks", is_enabled=False, **hook).json()["id"]
        created = self.owner.post("/credentials", kind="agent", display_name="Machines").json()
        self.machine = ApiCaller(self.owner.client, created["raw_key"])
        assert self.machine.post("/agent/heartbeat", agent_id=MACHINE).status_code == 200
        self.document: dict[str, Any] = self.owner.get("/openapi.json").json()
        self.rows = DatabaseRows(server.database_url)
        self._server = server
        self._version, self._before = self.rows.version(), self.rows.read_all()
        self._files = list_store_files(server.data_dir)

    def send(
        self, method: str, path: str, body: str | bytes, content_type: str = "application/json"
    ) -> httpx2.Response:
        """Send a raw body to a route as the caller that may use it."""
        headers = self.get_caller(path).headers | {"Content-Type": content_type}
        content = body.encode() if isinstance(body, str) else body
        return self.owner.client.request(method, self.fill_path(path), content=content, headers=headers)

    def get_caller(self, path: str) -> ApiCaller:
        """Return the caller that may use this path: the machine for agent routes, else the owner."""
        return self.machine if path.startswith("/api/v1/agent/") else self.owner

    def fill_path(self, path: str) -> str:
        """Fill the path's placeholders with the ids of existing objects."""
        extra = {
            "{model_id}": self.model_id,
            "{collection_id}": self.collection_id,
            "{rollout_id}": self.rollout_id,
            "{webhook_id}": self.webhook_id,
            "{user_id}": self.owner.user_id,
            "{agent_id}": MACHINE,
            "{host}": "models.example",
        }
        for name, value in extra.items():
            path = path.replace(name, value)
        return path

    def is_unchanged(self) -> bool:
        """Return whether rows and stored files are as before; a new database version is remembered."""
        version = self.rows.version()
        if version == self._version:
            return list_store_files(self._server.data_dir) == self._files
        self._version = version
        return self.rows.read_all() == self._before and list_store_files(self._server.data_dir) == self._files

    def iterate_body_routes(self) -> Iterator[tuple[str, str, Field]]:
        """Iterate over the routes that take a body, once each, with one of their fields."""
        seen = set()
        for field in iterate_body_fields(self.document):
            if (field.method, field.path) not in seen:
                seen.add((field.method, field.path))
                yield field.method, field.path, field


@pytest.fixture(scope="module")
def target(server: RunningServer) -> Iterator[Target]:
    target = Target(server)
    yield target
    target.rows.close()


def _build_body(field: Field, text: str) -> str:
    """Build a valid body in which this field has the given JSON (or invalid) text."""
    others = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in field.valid.items() if name != field.name]
    return "{" + ", ".join([*others, f"{json.dumps(field.name)}: {text}"]) + "}"


def _is_422_naming(response: httpx2.Response, field: str) -> bool:
    problem = response.json()
    extra = [error["field"].split(".")[0] for error in problem.get("errors", [])]
    return response.status_code == 422 and field in extra and problem["error_message"] == problem["detail"]


def _refuses_every_item(response: httpx2.Response) -> bool:
    """Return whether this is the answer to a batch, with 422 for each item and the errors of each."""
    results = response.json().get("result_list", [])
    is_invalid = all(result["status"] == 422 and result["errors"] for result in results)
    return response.status_code == 200 and bool(results) and is_invalid


def test_request_wrong_value_returns_422_naming_field_or_of_each_item_of_a_batch(target: Target) -> None:
    tried, wrong = 0, []
    for field in iterate_body_fields(target.document):
        if field.path == HEARTBEAT:
            continue
        for text in field.generate_wrong_values():
            response = target.send(field.method, field.path, _build_body(field, text))
            tried += 1
            if not _is_422_naming(response, field.name) and not _refuses_every_item(response):
                wrong.append((str(field), text[:60], response.status_code, response.text[:200]))
    assert wrong == []
    assert tried > 500
    assert target.is_unchanged()


def test_request_missing_field_returns_422_naming_field(target: Target) -> None:
    for field in iterate_body_fields(target.document):
        body = {name: value for name, value in field.valid.items() if name != field.name}
        if field.is_required:
            assert _is_422_naming(target.send(field.method, field.path, json.dumps(body)), field.name), str(field)
    assert target.is_unchanged()


def test_request_duplicate_field_is_refused(target: Target) -> None:
    for field in iterate_body_fields(target.document):
        value = json.dumps(field.valid[field.name])
        body = _build_body(field, f"{value}, {json.dumps(field.name)}: {value}")
        response = target.send(field.method, field.path, body)
        assert (response.status_code, response.json()["error_code"]) == (400, "malformed_json"), str(field)
    assert target.is_unchanged()


BROKEN_JSON = {
    "not a number": "NaN",
    "infinity": "Infinity",
    "minus infinity": "-Infinity",
    # Public routes take 16 KiB.
    "five thousand deep": "[" * 5_000 + "]" * 5_000,
    "two thousand objects deep": '{"a":' * 2_000 + "1" + "}" * 2_000,
    "ten thousand open brackets": "[" * 10_000,
    "no value": "",
    "a raw line end in a text": '"a\nb"',
    "a bare word": "nonsense",
    "a single quote": "'text'",
    "a comment": "1 /* one */",
    "a leading zero": "012",
    "half an escape": '"\\u12"',
}


@pytest.mark.parametrize("text", BROKEN_JSON.values(), ids=BROKEN_JSON.keys())
def test_request_broken_json_is_refused_by_every_route(target: Target, text: str) -> None:
    for method, path, field in target.iterate_body_routes():
        response = target.send(method, path, _build_body(field, text))
        assert (response.status_code, response.json()["error_code"]) == (400, "malformed_json"), path
    assert target.is_unchanged()


@pytest.mark.parametrize(
    "body", [b"\xff\xfe{\x00}\x00", b'{"a": "\xc0\xaf"}', b'{"a": "\xed\xa0\x80"}', b"\xef\xbb\xbf{}", b"{}{}", b"\x00"]
)
def test_request_non_utf8_json_is_refused_by_every_route(target: Target, body: bytes) -> None:
    for method, path, _ in target.iterate_body_routes():
        response = target.send(method, path, body)
        assert (response.status_code, response.json()["error_code"]) == (400, "malformed_json"), path
    assert target.is_unchanged()


@pytest.mark.parametrize("body", ["null", "5", '"text"', "[]", "true", "[{}]"])
def test_request_non_object_body_is_refused_by_every_route(target: Target, body: str) -> None:
    for method, path, _ in target.iterate_body_routes():
        assert target.send(method, path, body).status_code == 422, path
    assert target.is_unchanged()


def test_request_body_over_the_limit_is_refused_by_every_route(target: Target) -> None:
    for method, path, field in target.iterate_body_routes():
        # A registration may have the list of the files of a folder.
        limit = 4 * MEBIBYTE if path.endswith("/models") else MEBIBYTE
        response = target.send(method, path, _build_body(field, '"' + "x" * limit + '"'))
        assert (response.status_code, response.json()["error_code"]) == (413, "body-too-large".replace("-", "_")), path
    assert target.is_unchanged()


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_request_other_content_type_is_refused_by_every_route(target: Target, kind: str) -> None:
    for method, path, field in target.iterate_body_routes():
        response = target.send(method, path, json.dumps(field.valid), kind)
        assert (response.status_code, response.json()["error_code"]) == (415, "unsupported_media_type"), path
    assert target.is_unchanged()


WRONG_QUERIES = {
    "integer": [
        "",
        "abc",
        "-1",
        "0",
        "1.5",
        "1e2",
        "NaN",
        "99999999999999999999",
        "9" * 5000,
        "0x10",
        "[]",
        "null",
        "5;6",
        "1\x00",
    ],
    "boolean": ["", "maybe", "2", "null", "[]"],
    "choice": ["", "nonsense", "null", "\x00", "%", "ACTIVE"],
    "time": [
        "",
        "yesterday",
        "5",
        "0.5",
        "2026-13-01T00:00:00Z",
        "2026-01-01T00:00:00",
        "0000-00-00T00:00:00Z",
        "99999-01-01T00:00:00Z",
    ],
    "cursor": ["x", "WzFd", "e30", "bnVsbA", "W10", "\x00", "é", "=" * 50, "WyJhIiwiYiJd", "W1tdLFtdXQ", "x" * 5000],
}


def _classify(parameter: dict[str, Any]) -> str | None:
    """Return the kind of a query parameter in ``WRONG_QUERIES``, or None if none applies."""
    schema = parameter["schema"]
    if parameter["name"] == "cursor":
        return "cursor"
    if "enum" in schema or "const" in schema:
        return "choice"
    if schema.get("format") == "date-time":
        return "time"
    kind = schema.get("type")
    return kind if kind in WRONG_QUERIES else None


def test_request_wrong_query_parameter_returns_422_naming_it(target: Target) -> None:
    tried, wrong = 0, []
    for path, parameter in iterate_query_parameters(target.document):
        for value in WRONG_QUERIES.get(_classify(parameter) or "", []):
            if value == "0" and parameter["schema"].get("minimum") == 0:
                continue
            extra = {"agent_id": MACHINE} if path in AGENT_QUERIES else {}
            headers = target.get_caller(path).headers
            response = target.owner.client.get(
                target.fill_path(path), params=extra | {parameter["name"]: value}, headers=headers
            )
            tried += 1
            if not _is_422_naming(response, parameter["name"]):
                wrong.append((path, parameter["name"], value[:30], response.status_code, response.text[:200]))
    assert wrong == []
    assert tried > 100


def test_request_odd_query_text_never_returns_5xx(target: Target) -> None:
    odd_values = [
        "",
        " ",
        "\x00",
        "a\x00b",
        "%",
        "_",
        "\\",
        "'",
        '"',
        "\ud7ff",
        "\u202e",
        "e\u0301" * 100,
        "x" * 5000,
        "../..",
        "\r\nX: y",
        "💥",
    ]
    for path, parameter in iterate_query_parameters(target.document):
        for value in odd_values:
            extra = {"agent_id": MACHINE} if path in AGENT_QUERIES else {}
            headers = target.get_caller(path).headers
            response = target.owner.client.get(
                target.fill_path(path), params=extra | {parameter["name"]: value}, headers=headers
            )
            # For an unknown machine the manifest is refused with 409.
            assert response.status_code in (200, 307, 404, 409, 422), (path, parameter["name"], value, response.text)
    assert target.is_unchanged()


def test_request_malformed_id_returns_404(target: Target) -> None:
    odd_values = [
        "x",
        "0",
        "-1",
        "%00",
        "%FF",
        "%F0%9F%92%A5",
        "..%2f..",
        "null",
        str(uuid4()),
        "{" + str(uuid4()) + "}",
        uuid4().hex,
        "'--",
        "x" * 5000,
    ]
    for method, path, operation in iterate_operations(target.document):
        # A host is a name that callers choose, not an id.
        if "{" not in path or "{host}" in path:
            continue
        head, _, tail = path.partition("{")
        # Has what each of these routes requires; what a route does not have is ignored.
        body = {
            "display_name": "x",
            "member_role": "viewer",
            "model_list": [],
            "label": "gpu24",
            "version": 2,
            "reason": "x",
        }
        if tail.endswith("/approve-removal"):  # refuses what it does not have
            body = {}
        for value in odd_values:
            fill_path = head + value + tail.partition("}")[2]
            response = target.owner.client.request(
                method, fill_path, json=body if "requestBody" in operation else None, headers=target.owner.headers
            )
            # Routes where a secret key may be sent instead of its id answer 400.
            expected = {400, 404} if "credential" in path else {404}
            assert response.status_code in expected, (method, fill_path, response.text)
    assert target.is_unchanged()


def test_unchanged_check_detects_a_change(target: Target) -> None:
    assert target.send("POST", "/api/v1/teams", '{"display_name": "Another"}').status_code == 201
    assert not target.is_unchanged()


def test_heartbeat_wrong_value_is_refused_or_named_in_the_answer(target: Target) -> None:
    tried, wrong = 0, []
    for field in iterate_body_fields(target.document):
        if field.path != HEARTBEAT:
            continue
        for text in field.generate_wrong_values():
            response = target.send(field.method, field.path, _build_body(field, text))
            tried += 1
            named = [each["field"].split(".")[0] for each in response.json().get("unreadable_list", [])]
            if not _is_422_naming(response, field.name) and field.name not in named:
                wrong.append((field.name, text[:60], response.status_code, response.text[:200]))
    assert wrong == []
    assert tried > 100

"""The permission matrix: section 2 of the API contract, written by hand for every route and every kind of caller.

y  allowed: the status before the grid
1  401: not authenticated
3  403: not allowed
4  404: not visible to the caller
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from tests.server.contract.callers import CALLERS, CONTENT, OURS, THEIRS, MatrixSetup
from tests.server.environments import PARTS
from tests.server.harness import PASSWORD, Harness, hash_of, make_model_file

UNVERSIONED = ("/healthz", "/readyz", "/metrics", "/docs")


@dataclass(frozen=True)
class Row:
    """The expected status of an operation on a kind of target, for every caller; ``{}`` in the path is the target's."""

    operation: str
    passes: int
    grid: str
    on: str = ""
    body: str = ""

    @property
    def method(self) -> str:
        return self.operation.split()[0]

    @property
    def path(self) -> str:
        """The complete path; paths outside of the API have no version prefix."""
        path = self.operation.split()[1]
        return path if path.startswith(UNVERSIONED) else f"/api/v1{path}"

    def expected(self) -> dict[str, int]:
        meaning = {"y": self.passes, "1": 401, "3": 403, "4": 404}
        return {caller: meaning[mark] for caller, mark in zip(CALLERS, self.grid.split(), strict=True)}


ALL_CALLERS = "y y y y y y y y y y y y y y y y y"
# Columns: nobody, viewer, member, admin, owner | sk read, sk write | dk of viewer, member, admin | ak |
#          owner of another team, the same with this team's header | revoked sk, expired sk, removed member, their dk
ROWS = [
    Row("GET /models", 200, "1 y y y y  y y  y y y  3  y 3  1 1 3 1"),
    Row("GET /models/{model_id}", 200, "1 y y y y  y y  y y y  3  4 3  1 1 3 1", on="model:owner"),
    Row("GET /models/{model_id}/hashes", 200, "1 y y y y  y y  y y y  3  4 3  1 1 3 1", on="model:owner"),
    Row("POST /models/lookup", 200, "1 y y y y  y y  y y y  y  y 3  1 1 3 1", body="lookup"),
    Row("GET /models/{model_id}/download", 307, "1 y y y y  y y  y y y  y  4 3  1 1 3 1", on="model:owner"),
    Row("GET /models/{model_id}/download", 307, "1 y y y y  y y  y y y  4  4 3  1 1 3 1", on="disabled:owner"),
    Row("POST /models/presign", 200, "1 3 y y y  3 y  3 y y  3  y 3  1 1 3 1", body="presign"),
    Row("POST /models", 201, "1 3 y y y  3 y  3 y y  3  4 3  1 1 3 1", on="handle:owner", body="register"),
    # A viewer may not upload; a member may add versions to their own models, a key with write access to every model.
    Row("POST /models", 200, "1 3 y y y  3 y  3 y y  3  4 3  1 1 3 1", on="model:member", body="new version"),
    Row("POST /models", 200, "1 3 3 y y  3 y  3 3 y  3  4 3  1 1 3 1", on="model:owner", body="new version"),
    Row("PUT /models/{model_id}", 200, "1 3 y y y  3 y  3 y y  3  4 3  1 1 3 1", on="model:member", body="note"),
    Row("PUT /models/{model_id}", 200, "1 3 3 y y  3 y  3 3 y  3  4 3  1 1 3 1", on="model:owner", body="note"),
    # A model that an integration key registered belongs to no user.
    Row("PUT /models/{model_id}", 200, "1 3 3 y y  3 y  3 3 y  3  4 3  1 1 3 1", on="model:sk-write", body="note"),
    # What a device made is its user's own, and the other way round.
    Row("PUT /models/{model_id}", 200, "1 3 y y y  3 y  3 y y  3  4 3  1 1 3 1", on="model:dk-member", body="note"),
    Row("PUT /models/{model_id}", 200, "1 3 y y y  3 3  3 y y  3  4 3  1 1 3 1", on="model:member", body="off"),
    Row("PUT /models/{model_id}", 200, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="model:owner", body="off"),
    Row("DELETE /models/{model_id}", 204, "1 3 y y y  3 3  3 y y  3  4 3  1 1 3 1", on="model:member"),
    Row("DELETE /models/{model_id}", 204, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="model:owner"),
    Row("DELETE /models/{model_id}", 204, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="model:sk-write"),
    Row("POST /models/{model_id}/restore", 200, "1 3 y y y  3 3  3 y y  3  4 3  1 1 3 1", on="trashed:member"),
    Row("POST /models/{model_id}/restore", 200, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="trashed:owner"),
    # A machine reads the version that its manifest names; of a disabled model it has none.
    Row("GET /models/{model_id}/versions", 200, "1 y y y y  y y  y y y  y  4 3  1 1 3 1", on="model:owner"),
    Row("GET /models/{model_id}/versions", 200, "1 y y y y  y y  y y y  4  4 3  1 1 3 1", on="disabled:owner"),
    Row("GET /models/{model_id}/versions/{version}", 200, "1 y y y y  y y  y y y  y  4 3  1 1 3 1", on="current:owner"),
    Row(
        "GET /models/{model_id}/versions/{version}", 200, "1 y y y y  y y  y y y  4  4 3  1 1 3 1", on="replaced:owner"
    ),
    Row(
        "GET /models/{model_id}/download?version={version}",
        307,
        "1 y y y y  y y  y y y  4  4 3  1 1 3 1",
        on="replaced:owner",
    ),
    Row(
        "PUT /models/{model_id}/versions/{version}",
        200,
        "1 3 y y y  3 y  3 y y  3  4 3  1 1 3 1",
        on="replaced:member",
        body="version note",
    ),
    Row(
        "PUT /models/{model_id}/versions/{version}",
        200,
        "1 3 3 y y  3 y  3 3 y  3  4 3  1 1 3 1",
        on="replaced:owner",
        body="version note",
    ),
    Row(
        "POST /models/{model_id}/versions/{version}/activate",
        200,
        "1 3 y y y  3 3  3 y y  3  4 3  1 1 3 1",
        on="replaced:member",
    ),
    Row(
        "POST /models/{model_id}/versions/{version}/activate",
        200,
        "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1",
        on="replaced:owner",
    ),
    Row(
        "DELETE /models/{model_id}/versions/{version}",
        204,
        "1 3 y y y  3 3  3 y y  3  4 3  1 1 3 1",
        on="replaced:member",
    ),
    Row(
        "DELETE /models/{model_id}/versions/{version}",
        204,
        "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1",
        on="replaced:owner",
    ),
    Row(
        "POST /models/{model_id}/versions/{version}/restore",
        200,
        "1 3 y y y  3 3  3 y y  3  4 3  1 1 3 1",
        on="deleted:member",
    ),
    Row(
        "POST /models/{model_id}/versions/{version}/restore",
        200,
        "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1",
        on="deleted:owner",
    ),
    Row("GET /models/{model_id}/agents", 200, "1 y y y y  y y  y y y  3  4 3  1 1 3 1", on="model:owner"),
    Row("GET /agents", 200, "1 y y y y  y y  y y y  3  y 3  1 1 3 1"),
    Row("GET /agents/{agent_id}/models", 200, "1 y y y y  y y  y y y  3  4 3  1 1 3 1", on="agent"),
    Row("GET /agent-states", 200, "1 y y y y  y y  y y y  3  y 3  1 1 3 1", on="model:owner"),
    Row("PUT /agents/{agent_id}", 200, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="agent", body="machine"),
    Row("POST /agents/{agent_id}/approve-removal", 200, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="agent"),
    Row("POST /agents/{agent_id}/sync", 200, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="agent"),
    Row("DELETE /agents/{agent_id}", 204, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="agent"),
    # What a machine asks and says, nobody else does.
    Row("GET /agent/manifest", 200, "1 3 3 3 3  3 3  3 3 3  y  3 3  1 1 3 1", on="agent"),
    Row("POST /agent/heartbeat", 200, "1 3 3 3 3  3 3  3 3 3  y  3 3  1 1 3 1", body="heartbeat"),
    # An upload has its team, so the header is not read: to a stranger the upload does not exist.
    Row(
        "POST /uploads/multipart/initiate",
        200,
        "1 3 y y y  3 y  3 y y  3  4 4  1 1 4 1",
        on="multipart:member",
        body="initiate",
    ),
    Row(
        "POST /uploads/multipart/presign",
        200,
        "1 3 y y y  3 y  3 y y  3  4 4  1 1 4 1",
        on="multipart:member",
        body="parts",
    ),
    Row("GET /uploads/multipart/parts", 200, "1 3 y y y  3 y  3 y y  3  4 4  1 1 4 1", on="multipart:member"),
    # No part was uploaded, so allowed callers get 409.
    Row(
        "POST /uploads/multipart/complete",
        409,
        "1 3 y y y  3 y  3 y y  3  4 4  1 1 4 1",
        on="multipart:member",
        body="complete",
    ),
    Row(
        "POST /uploads/multipart/abort",
        204,
        "1 3 y y y  3 y  3 y y  3  4 4  1 1 4 1",
        on="multipart:member",
        body="abort",
    ),
    Row("GET /credentials", 200, "1 y y y y  3 3  3 3 3  3  y 3  1 1 3 1"),
    Row("POST /credentials", 201, "1 3 3 y y  3 3  3 3 3  3  y 3  1 1 3 1", body="credential"),
    # Below admin one sees one's own device keys only: every other key does not exist.
    Row(
        "DELETE /credentials/{credential_id}",
        204,
        "1 4 4 y y  3 3  3 3 3  3  4 3  1 1 3 1",
        on="credential:integration",
    ),
    Row("DELETE /credentials/{credential_id}", 204, "1 4 y y y  3 3  3 3 3  3  4 3  1 1 3 1", on="device:member"),
    Row(
        "POST /credentials/{credential_id}/rotate",
        200,
        "1 3 3 y y  3 3  3 3 3  3  4 3  1 1 3 1",
        on="credential:integration",
        body="rotation",
    ),
    # What came with a device is renewed by pairing it again.
    Row(
        "POST /credentials/{credential_id}/rotate",
        409,
        "1 3 3 y y  3 3  3 3 3  3  4 3  1 1 3 1",
        on="device:member",
        body="rotation",
    ),
    Row("POST /desktop/pair/confirm", 200, "1 y y y y  3 3  3 3 3  3  y 3  1 1 3 1", on="pairing", body="pair"),
    Row("GET /members", 200, "1 3 3 y y  3 3  3 3 y  3  y 3  1 1 3 1"),
    Row("PUT /members/{user_id}", 200, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="person:viewer", body="role"),
    # An admin makes keys and a device does not, so a device makes no admin either.
    Row("PUT /members/{user_id}", 200, "1 3 3 y y  3 3  3 3 3  3  4 3  1 1 3 1", on="person:viewer", body="admin role"),
    Row("DELETE /members/{user_id}", 204, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="person:viewer"),
    Row("GET /invitations", 200, "1 3 3 y y  3 3  3 3 y  3  y 3  1 1 3 1"),
    Row("POST /invitations", 201, "1 3 3 y y  3 3  3 3 y  3  y 3  1 1 3 1", body="invite"),
    Row("POST /invitations", 201, "1 3 3 y y  3 3  3 3 3  3  y 3  1 1 3 1", body="invite an admin"),
    Row("DELETE /invitations/{invitation_id}", 204, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="invitation"),
    Row("GET /audit-events", 200, "1 3 3 y y  3 3  3 3 y  3  y 3  1 1 3 1"),
    Row("GET /teams/current", 200, "1 y y y y  3 3  y y y  3  y 3  1 1 3 1"),
    Row("PUT /teams/current", 200, "1 3 3 y y  3 3  3 3 y  3  y 3  1 1 3 1", body="team settings"),
    # The new owner does not exist, so allowed callers get 404.
    Row("POST /teams/current/transfer", 404, "1 3 3 3 y  3 3  3 3 3  3  y 3  1 1 3 1", body="transfer"),
    # What a person does for themselves needs no team, and no key may do it.
    Row("POST /teams", 201, "1 y y y y  3 3  3 3 3  3  y y  1 1 y 1", body="new team"),
    Row("GET /users/me", 200, "1 y y y y  3 3  y y y  3  y y  1 1 y 1"),
    Row("PUT /users/me/password", 200, "1 y y y y  3 3  3 3 3  3  y y  1 1 y 1", body="password"),
    Row("POST /invitations/preview", 404, ALL_CALLERS, body="accept"),
    Row("POST /invitations/accept", 404, "y y y y y  3 3  3 3 3  3  y y  1 1 y 1", body="accept"),
    # These callers authenticate with the body, so those that reach its check get 422 or 404.
    Row("POST /auth/login", 422, ALL_CALLERS, body="junk"),
    Row("POST /auth/refresh", 422, ALL_CALLERS, body="junk"),
    Row("POST /auth/logout", 422, ALL_CALLERS, body="junk"),
    Row("POST /auth/password-reset", 422, ALL_CALLERS, body="junk"),
    Row("POST /desktop/pair/start", 200, ALL_CALLERS),
    Row("POST /desktop/pair/poll", 404, ALL_CALLERS, body="poll"),
    Row("GET /healthz", 200, ALL_CALLERS),
    Row("GET /readyz", 200, ALL_CALLERS),
    Row("GET /metrics", 200, ALL_CALLERS),
    Row("GET /openapi.json", 200, ALL_CALLERS),
    Row("GET /docs", 200, ALL_CALLERS),
    # The last two take away what the others need.
    Row("POST /auth/device/revoke", 200, "1 3 3 3 3  3 3  y y y  3  3 3  1 1 3 1"),
    Row("DELETE /teams/current", 204, "1 3 3 3 y  3 3  3 3 3  3  y 3  1 1 3 1"),
]


@pytest.fixture(scope="module")
def setup(module_registry: Harness) -> MatrixSetup:
    return MatrixSetup(module_registry)


def build_body(name: str, target: str, setup: MatrixSetup) -> dict[str, Any]:
    key, _, upload_id = target.partition(" ")
    upload = {"storage_key": key, "upload_id": upload_id}
    bodies: dict[str, dict[str, Any]] = {
        "presign": {
            "file_name": "lantern.safetensors",
            "file_size": 999,
            "model_type": "loras",
            "model_path": setup.fresh_path(),
        },
        "lookup": {"hashes": [hash_of(CONTENT)], "paths": [f"loras/{OURS}.safetensors", f"loras/{THEIRS}.safetensors"]},
        "register": build_new_model(setup, target, CONTENT),
        "note": {"description": str(uuid4())},
        "version note": {"note": str(uuid4())},
        "off": {"model_status": "disabled"},
        "initiate": {"storage_key": key, "file_size": len(make_model_file("parts", 100))},
        "parts": upload | {"part_numbers": [1]},
        "complete": upload | {"part_list": [{"part_number": 1, "etag": "0"}]},
        "abort": upload,
        "credential": {"kind": "integration", "display_name": "a key"},
        "rotation": {"grace_hours": 1},
        "pair": {"user_code": target},
        "role": {"member_role": "viewer"},
        "invite": {"email_address": setup.fresh_email(), "invitation_role": "viewer"},
        "admin role": {"member_role": "admin"},
        "invite an admin": {"email_address": setup.fresh_email(), "invitation_role": "admin"},
        "team settings": {"quota_bytes": None},
        "transfer": {"new_owner_id": str(uuid4())},
        "new team": {"display_name": "another"},
        "password": {"current_password": PASSWORD, "new_password": PASSWORD},
        "accept": {"invitation_token": "in-unknown"},
        "machine": {"agent_labels": [OURS], "paused": False},
        "heartbeat": {"agent_id": OURS},
        "junk": {"email_address": 5, "refresh_token": 5},
        "poll": {"device_code": "pc-unknown"},
    }
    return bodies[name]


def build_new_model(setup: MatrixSetup, key: str, content: bytes, **more: Any) -> dict[str, Any]:
    return {
        "display_name": OURS,
        "model_type": "loras",
        "storage_key": key,
        "file_size": len(content),
        "file_hash": hash_of(content),
        "model_path": setup.fresh_path(),
    } | more


def build_new_version(setup: MatrixSetup, model_id: str) -> dict[str, Any]:
    """Build the body that adds a version with content that the owner has uploaded; only the permission is tested."""
    content = make_model_file(str(uuid4()))
    path = setup.owner.get(f"/models/{model_id}").json()["model_path"]
    key = setup.owner.upload(content, path)
    return build_new_model(setup, key, content, replaces=model_id, model_path=path)


def fill_path(path: str, target: str) -> str:
    """Put the words of the target, such as a model's id and a version, in the place of the path's parameters."""
    names = re.findall(r"{\w+}", path)
    for name, word in zip(names, target.split(maxsplit=len(names) - 1) if names else [], strict=True):
        path = path.replace(name, word)
    return path


def send_request(row: Row, caller: str, setup: MatrixSetup) -> int:
    """Send the row's request, and return the status; a changed target is discarded for the next caller."""
    target = setup.get_target(row.on) if row.on else ""
    path = row.path
    arguments: dict[str, Any] = {}
    if row.body:
        arguments["json"] = (
            build_new_version(setup, target) if row.body == "new version" else build_body(row.body, target, setup)
        )
    elif path.endswith("/manifest"):
        arguments["params"] = {"agent_id": target}
    elif path.endswith("/agent-states"):
        arguments["params"] = {"model_id": target}
    elif path.endswith("/parts"):
        arguments["params"] = build_body("abort", target, setup)
    url = fill_path(path, target)
    api_caller = setup.callers[caller]
    answer = api_caller.client.request(row.method, url, headers=api_caller.headers, follow_redirects=False, **arguments)
    if answer.is_success and row.method in ("POST", "DELETE"):
        setup.discard_target(row.on)
    if answer.is_success and path.endswith("/device/revoke"):
        setup.pair_again(caller)
    if path.startswith("/api/v1"):
        assert (OURS if caller == "away" else THEIRS) not in answer.text or caller == "away-here", row
    return answer.status_code


def sort_refused_callers_first(expected: dict[str, int]) -> Iterator[str]:
    """Yield refused callers before allowed ones, which may delete the target that a refusal must be about."""
    yield from sorted(expected, key=lambda caller: expected[caller] < 400)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.operation} {row.on} {row.body}".strip())
def test_route_returns_the_status_of_the_matrix_for_each_kind_of_caller(row: Row, setup: MatrixSetup) -> None:
    expected = row.expected()
    found = {caller: send_request(row, caller, setup) for caller in sort_refused_callers_first(expected)}
    assert found == expected


def test_matrix_covers_every_route(setup: MatrixSetup) -> None:
    routes = {
        f"{method} {context.path}"
        for context in iter_route_contexts(setup.registry.app.routes)
        if not isinstance(context.original_route, Mount)
        for method in set(context.methods or ()) - {"HEAD"}
    }
    assert routes == {f"{row.method} {row.path.partition('?')[0]}" for row in ROWS}


def test_only_presigned_urls_and_docs_assets_are_mounted_outside_of_the_matrix(setup: MatrixSetup) -> None:
    mounted = [route.path for route in setup.registry.app.routes if isinstance(route, Mount)]
    assert mounted == ["/docs/assets", *(["/blobs"] if "folder" in PARTS else [])]

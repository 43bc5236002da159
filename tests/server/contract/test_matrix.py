"""Who may do what: section 2 of the contract, written out by hand for every route and every kind of caller.

y  passes, and answers what stands before the grid
1  401: nobody whom the registry knows
3  403: known, but may not
4  404: nothing of theirs
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from tests.server.contract.cast import CALLERS, CONTENT, OURS, THEIRS, Cast
from tests.server.places import PARTS
from tests.server.world import PASSWORD, World, a_model_file, hash_of

UNVERSIONED = ("/healthz", "/readyz", "/metrics", "/docs")


@dataclass(frozen=True)
class Row:
    """One operation, on one kind of target, for every caller. ``{}`` in the path stands for the target."""

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
        """The whole address; what is no part of the API has no version."""
        path = self.operation.split()[1]
        return path if path.startswith(UNVERSIONED) else f"/api/v1{path}"

    def expected(self) -> dict[str, int]:
        meaning = {"y": self.passes, "1": 401, "3": 403, "4": 404}
        return {caller: meaning[mark] for caller, mark in zip(CALLERS, self.grid.split(), strict=True)}


EVERYBODY = "y y y y y y y y y y y y y y y y y"
# Columns: nobody, viewer, member, admin, owner | sk read, sk write | dk of viewer, member, admin | ak |
#          a stranger in their team, the same with our header | revoked sk, expired sk, a removed member, their dk
ROWS = [
    Row("GET /models", 200, "1 y y y y  y y  y y y  3  y 3  1 1 3 1"),
    Row("GET /models/{model_id}", 200, "1 y y y y  y y  y y y  3  4 3  1 1 3 1", on="model:owner"),
    Row("GET /models/{model_id}/download", 307, "1 y y y y  y y  y y y  y  4 3  1 1 3 1", on="model:owner"),
    Row("GET /models/{model_id}/download", 307, "1 y y y y  y y  y y y  4  4 3  1 1 3 1", on="disabled:owner"),
    Row("POST /models/presign", 200, "1 3 y y y  3 y  3 y y  3  y 3  1 1 3 1", body="presign"),
    Row("POST /models", 201, "1 3 y y y  3 y  3 y y  3  4 3  1 1 3 1", on="handle:owner", body="register"),
    # A viewer may not upload at all; a member replaces what is their own, a key with write access everything.
    Row("POST /models", 201, "1 3 y y y  3 y  3 y y  3  4 3  1 1 3 1", on="model:member", body="replace"),
    Row("POST /models", 201, "1 3 3 y y  3 y  3 3 y  3  4 3  1 1 3 1", on="model:owner", body="replace"),
    Row("PUT /models/{model_id}", 200, "1 3 y y y  3 y  3 y y  3  4 3  1 1 3 1", on="model:member", body="note"),
    Row("PUT /models/{model_id}", 200, "1 3 3 y y  3 y  3 3 y  3  4 3  1 1 3 1", on="model:owner", body="note"),
    # What an sk- made is nobody's own.
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
    # Nothing was sent, so whoever may complete is told 409.
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
    Row("POST /desktop/pair/confirm", 200, "1 y y y y  3 3  3 3 3  3  y 3  1 1 3 1", on="pairing", body="pair"),
    Row("GET /members", 200, "1 3 3 y y  3 3  3 3 y  3  y 3  1 1 3 1"),
    Row("PUT /members/{user_id}", 200, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="person:viewer", body="role"),
    Row("DELETE /members/{user_id}", 204, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="person:viewer"),
    Row("GET /invitations", 200, "1 3 3 y y  3 3  3 3 y  3  y 3  1 1 3 1"),
    Row("POST /invitations", 201, "1 3 3 y y  3 3  3 3 y  3  y 3  1 1 3 1", body="invite"),
    Row("DELETE /invitations/{invitation_id}", 204, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="invitation"),
    Row("GET /audit-events", 200, "1 3 3 y y  3 3  3 3 y  3  y 3  1 1 3 1"),
    Row("GET /teams/current", 200, "1 y y y y  3 3  y y y  3  y 3  1 1 3 1"),
    Row("PUT /teams/current", 200, "1 3 3 y y  3 3  3 3 y  3  y 3  1 1 3 1", body="team settings"),
    # Nobody has the id of the heir, so whoever may transfer is told 404.
    Row("POST /teams/current/transfer", 404, "1 3 3 3 y  3 3  3 3 3  3  y 3  1 1 3 1", body="transfer"),
    # What a person does for themselves needs no team, and no key may do it.
    Row("POST /teams", 201, "1 y y y y  3 3  3 3 3  3  y y  1 1 y 1", body="new team"),
    Row("GET /users/me", 200, "1 y y y y  3 3  y y y  3  y y  1 1 y 1"),
    Row("PUT /users/me/password", 200, "1 y y y y  3 3  3 3 3  3  y y  1 1 y 1", body="password"),
    Row("POST /invitations/preview", 404, EVERYBODY, body="accept"),
    Row("POST /invitations/accept", 404, "y y y y y  3 3  3 3 3  3  y y  1 1 y 1", body="accept"),
    # What the caller shows here is in the body; whoever gets as far as the body is told 422 or 404.
    Row("POST /auth/login", 422, EVERYBODY, body="junk"),
    Row("POST /auth/refresh", 422, EVERYBODY, body="junk"),
    Row("POST /auth/logout", 422, EVERYBODY, body="junk"),
    Row("POST /auth/password-reset", 422, EVERYBODY, body="junk"),
    Row("POST /desktop/pair/start", 200, EVERYBODY),
    Row("POST /desktop/pair/poll", 404, EVERYBODY, body="poll"),
    Row("GET /healthz", 200, EVERYBODY),
    Row("GET /readyz", 200, EVERYBODY),
    Row("GET /metrics", 200, EVERYBODY),
    Row("GET /openapi.json", 200, EVERYBODY),
    Row("GET /docs", 200, EVERYBODY),
    # The last two take away what the others need.
    Row("POST /auth/device/revoke", 200, "1 3 3 3 3  3 3  y y y  3  3 3  1 1 3 1"),
    Row("DELETE /teams/current", 204, "1 3 3 3 y  3 3  3 3 3  3  y 3  1 1 3 1"),
]


@pytest.fixture(scope="module")
def cast(module_world: World) -> Cast:
    return Cast(module_world)


def body_of(name: str, target: str, cast: Cast) -> dict[str, Any]:
    key, _, upload_id = target.partition(" ")
    upload = {"storage_key": key, "upload_id": upload_id}
    bodies: dict[str, dict[str, Any]] = {
        "presign": {
            "file_name": "lantern.safetensors",
            "file_size": 999,
            "model_type": "loras",
            "model_path": cast.fresh_path(),
        },
        "register": new_model(cast, target, CONTENT),
        "note": {"description": str(uuid4())},
        "off": {"model_status": "disabled"},
        "initiate": {"storage_key": key, "file_size": len(a_model_file("parts", 100))},
        "parts": upload | {"part_numbers": [1]},
        "complete": upload | {"part_list": [{"part_number": 1, "etag": "0"}]},
        "abort": upload,
        "credential": {"kind": "integration", "display_name": "a key"},
        "pair": {"user_code": target},
        "role": {"member_role": "viewer"},
        "invite": {"email_address": cast.fresh_email(), "invitation_role": "viewer"},
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


def new_model(cast: Cast, key: str, content: bytes, **more: Any) -> dict[str, Any]:
    return {
        "display_name": OURS,
        "model_type": "loras",
        "storage_key": key,
        "file_size": len(content),
        "file_hash": hash_of(content),
        "model_path": cast.fresh_path(),
    } | more


def replacement(cast: Cast, model_id: str) -> dict[str, Any]:
    """Other bytes for a model, brought by the owner beforehand: what is asked is who may swap them."""
    content = a_model_file(str(uuid4()))
    return new_model(cast, cast.owner.upload(content, cast.fresh_path()), content, replaces=model_id)


def asked(row: Row, caller: str, cast: Cast) -> int:
    """The status that this caller gets; a target that was used up is made anew for the next."""
    target = cast.target(row.on) if row.on else ""
    path = row.path
    arguments: dict[str, Any] = {}
    if row.body:
        arguments["json"] = replacement(cast, target) if row.body == "replace" else body_of(row.body, target, cast)
    elif path.endswith("/manifest"):
        arguments["params"] = {"agent_id": target}
    elif path.endswith("/agent-states"):
        arguments["params"] = {"model_id": target}
    elif path.endswith("/parts"):
        arguments["params"] = body_of("abort", target, cast)
    head, brace, tail = path.partition("{")
    url = head + target + tail.partition("}")[2] if brace else path
    someone = cast.callers[caller]
    answer = someone.client.request(row.method, url, headers=someone.headers, follow_redirects=False, **arguments)
    if answer.is_success and row.method in ("POST", "DELETE"):
        cast.spent(row.on)
    if answer.is_success and path.endswith("/device/revoke"):
        cast.pair_again(caller)
    if path.startswith("/api/v1"):
        assert (OURS if caller == "away" else THEIRS) not in answer.text or caller == "away-here", row
    return answer.status_code


def in_harmless_order(expected: dict[str, int]) -> Iterator[str]:
    """Those who are refused before those who may: a refusal must not depend on what was deleted just now."""
    yield from sorted(expected, key=lambda caller: expected[caller] < 400)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.operation} {row.on} {row.body}".strip())
def test_whoever_may_passes_and_nobody_else(row: Row, cast: Cast) -> None:
    expected = row.expected()
    found = {caller: asked(row, caller, cast) for caller in in_harmless_order(expected)}
    assert found == expected


def test_every_route_has_its_row(cast: Cast) -> None:
    routes = {
        f"{method} {context.path}"
        for context in iter_route_contexts(cast.world.app.routes)
        if not isinstance(context.original_route, Mount)
        for method in set(context.methods or ()) - {"HEAD"}
    }
    assert routes == {f"{row.method} {row.path}" for row in ROWS}


def test_only_signed_addresses_and_the_docs_assets_are_outside_of_the_matrix(cast: Cast) -> None:
    mounted = [route.path for route in cast.world.app.routes if isinstance(route, Mount)]
    assert mounted == ["/docs/assets", *(["/blobs"] if "folder" in PARTS else [])]

"""The permission matrix: section 2 of the API contract, written by hand for every route and every kind of caller.

y  allowed: the status before the grid
1  401: not authenticated
3  403: not allowed
4  404: not visible to the caller
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from tests.server.contract.callers import OURS, THEIRS, MatrixSetup
from tests.server.contract.collection_rows import COLLECTION_ROWS
from tests.server.contract.matrix_row import Row
from tests.server.contract.request_bodies import RAW_BODIES, build_body, build_new_version
from tests.server.contract.webhook_rows import WEBHOOK_ROWS
from tests.server.environments import PARTS
from tests.server.harness import Harness

ALL_CALLERS = "y y y y y y y y y y y y y y y y y"
# Columns: nobody, viewer, member, admin, owner | sk read, sk write | dk of viewer, member, admin | ak |
#          owner of another team, the same with this team's header | revoked sk, expired sk, removed member, their dk
ROWS = [
    Row("GET /models", 200, "1 y y y y  y y  y y y  3  y 3  1 1 3 1"),
    Row("GET /models/{model_id}", 200, "1 y y y y  y y  y y y  3  4 3  1 1 3 1", on="model:owner"),
    Row("GET /models/{model_id}/hashes", 200, "1 y y y y  y y  y y y  3  4 3  1 1 3 1", on="model:owner"),
    Row("GET /models/facets", 200, "1 y y y y  y y  y y y  3  y 3  1 1 3 1"),
    Row("GET /unused-models", 200, "1 y y y y  y y  y y y  3  y 3  1 1 3 1"),
    Row("POST /models/lookup", 200, "1 y y y y  y y  y y y  y  y 3  1 1 3 1", body="lookup"),
    Row("POST /workflows/check", 200, "1 y y y y  y y  y y y  y  y 3  1 1 3 1", body="workflow"),
    Row("POST /workflows/rewrite", 200, "1 y y y y  y y  y y y  y  y 3  1 1 3 1", body="workflow"),
    # The link of those who may look one up is refused, without a request to it.
    Row("POST /imports/resolve", 422, "1 3 y y y  3 y  3 y y  3  y 3  1 1 3 1", body="link"),
    Row("POST /imports", 201, "1 3 y y y  3 y  3 y y  3  y 3  1 1 3 1", body="import"),
    Row("POST /imports/start-batch", 200, "1 3 y y y  3 y  3 y y  3  y 3  1 1 3 1", body="import batch"),
    Row("GET /imports", 200, "1 y y y y  y y  y y y  3  y 3  1 1 3 1"),
    Row("GET /imports/{import_id}", 200, "1 y y y y  y y  y y y  3  4 3  1 1 3 1", on="import:owner"),
    Row("POST /imports/{import_id}/cancel", 200, "1 3 y y y  3 y  3 y y  3  4 3  1 1 3 1", on="import:member"),
    Row("POST /imports/{import_id}/cancel", 200, "1 3 3 y y  3 y  3 3 y  3  4 3  1 1 3 1", on="import:owner"),
    Row("POST /imports/{import_id}/retry", 200, "1 3 y y y  3 y  3 y y  3  4 3  1 1 3 1", on="import:member"),
    Row("POST /imports/{import_id}/retry", 200, "1 3 3 y y  3 y  3 3 y  3  4 3  1 1 3 1", on="import:owner"),
    Row(
        "GET /models/{model_id}/versions/{version}/findings",
        200,
        "1 y y y y  y y  y y y  3  4 3  1 1 3 1",
        on="current:owner",
    ),
    Row("GET /trusted-files", 200, "1 y y y y  y y  y y y  3  y 3  1 1 3 1"),
    # The model is no pickle: allowed callers get 422.
    Row("POST /models/{model_id}/convert", 422, "1 3 y y y  3 y  3 y y  3  4 3  1 1 3 1", on="model:owner"),
    # The team has no such file: allowed callers get 404.
    Row("GET /trusted-files/{sha256}", 404, "1 y y y y  y y  y y y  3  y 3  1 1 3 1", on="hash"),
    Row("PUT /trusted-files/{sha256}", 404, "1 3 3 y y  3 3  3 3 y  3  y 3  1 1 3 1", on="hash", body="trust"),
    Row("DELETE /trusted-files/{sha256}", 404, "1 3 3 y y  3 3  3 3 y  3  y 3  1 1 3 1", on="hash"),
    # The literal address is none of a repository, and nothing can be changed there: only the permission is tested.
    Row("GET /hf/{address:path}", 404, "1 y y y y  y y  y y y  3  y 3  1 1 3 1"),
    Row("POST /hf/{address:path}", 405, "1 y y y y  y y  y y y  3  y 3  1 1 3 1"),
    Row("PUT /hf/{address:path}", 405, "1 y y y y  y y  y y y  3  y 3  1 1 3 1"),
    Row("DELETE /hf/{address:path}", 405, "1 y y y y  y y  y y y  3  y 3  1 1 3 1"),
    Row("GET /hf/api/whoami-v2", 200, "1 y y y y  y y  y y y  3  y 3  1 1 3 1"),
    Row("GET /hf/api/models", 200, "1 y y y y  y y  y y y  3  y 3  1 1 3 1"),
    Row("GET /hf/api/agent-harnesses", 200, ALL_CALLERS),
    # The model names no source: refused without a request.
    Row("POST /models/{model_id}/check-source", 422, "1 3 y y y  3 y  3 y y  3  4 3  1 1 3 1", on="model:owner"),
    Row("POST /source-checks", 200, "1 3 y y y  3 y  3 y y  3  y 3  1 1 3 1"),
    Row("GET /source-checks", 200, "1 y y y y  y y  y y y  3  y 3  1 1 3 1"),
    Row("GET /source-tokens", 200, "1 3 3 y y  3 3  3 3 y  3  y 3  1 1 3 1"),
    Row("PUT /source-tokens/{host}", 200, "1 3 3 y y  3 3  3 3 y  3  y 3  1 1 3 1", on="host", body="source token"),
    Row("DELETE /source-tokens/{host}", 204, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="source token"),
    Row("GET /models/{model_id}/download", 307, "1 y y y y  y y  y y y  y  4 3  1 1 3 1", on="model:owner"),
    Row("GET /models/{model_id}/download", 307, "1 y y y y  y y  y y y  4  4 3  1 1 3 1", on="disabled:owner"),
    Row("GET /models/{model_id}/files", 200, "1 y y y y  y y  y y y  y  4 3  1 1 3 1", on="model:owner"),
    Row("GET /models/{model_id}/files", 200, "1 y y y y  y y  y y y  4  4 3  1 1 3 1", on="disabled:owner"),
    Row("POST /models/presign", 200, "1 3 y y y  3 y  3 y y  3  y 3  1 1 3 1", body="presign"),
    Row("POST /models/presign-batch", 200, "1 3 y y y  3 y  3 y y  3  y 3  1 1 3 1", body="presign batch"),
    Row("POST /models/register-batch", 200, "1 3 y y y  3 y  3 y y  3  y 3  1 1 3 1", body="register batch"),
    Row("POST /models/download-batch", 200, "1 y y y y  y y  y y y  y  y 3  1 1 3 1", body="download batch"),
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
    Row(
        "PUT /models/{model_id}/versions/{version}/preview",
        200,
        "1 3 y y y  3 y  3 y y  3  4 3  1 1 3 1",
        on="replaced:member",
        body="picture",
    ),
    Row(
        "PUT /models/{model_id}/versions/{version}/preview",
        200,
        "1 3 3 y y  3 y  3 3 y  3  4 3  1 1 3 1",
        on="replaced:owner",
        body="picture",
    ),
    Row(
        "DELETE /models/{model_id}/versions/{version}/preview",
        204,
        "1 3 y y y  3 y  3 y y  3  4 3  1 1 3 1",
        on="pictured:member",
    ),
    Row(
        "DELETE /models/{model_id}/versions/{version}/preview",
        204,
        "1 3 3 y y  3 y  3 3 y  3  4 3  1 1 3 1",
        on="pictured:owner",
    ),
    # The team is the picture's, so the header is not read; a user without a team of theirs that has it sees nothing.
    Row("GET /previews/{sha256}", 200, "1 y y y y  y y  y y y  y  4 4  1 1 4 1", on="picture:owner"),
    # One of a model that is disabled, which no manifest lists.
    Row("GET /previews/{sha256}", 200, "1 y y y y  y y  y y y  4  4 4  1 1 4 1", on="hidden picture:owner"),
    Row("GET /models/{model_id}/agents", 200, "1 y y y y  y y  y y y  3  4 3  1 1 3 1", on="model:owner"),
    *COLLECTION_ROWS,
    *WEBHOOK_ROWS,
    Row("GET /agents", 200, "1 y y y y  y y  y y y  3  y 3  1 1 3 1"),
    # Those who may preview them have to name a budget, since the machine has none.
    Row("GET /agents/{agent_id}/evictions", 422, "1 y y y y  y y  y y y  3  4 3  1 1 3 1", on="agent"),
    Row("GET /agents/{agent_id}/models", 200, "1 y y y y  y y  y y y  3  4 3  1 1 3 1", on="agent"),
    Row("GET /agent-states", 200, "1 y y y y  y y  y y y  3  y 3  1 1 3 1", on="model:owner"),
    Row("PUT /agents/{agent_id}", 200, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="agent", body="machine"),
    Row("PUT /agents/{agent_id}/models/{model_id}", 200, "1 3 y y y  3 y  3 y y  3  4 3  1 1 3 1", on="placement"),
    Row("DELETE /agents/{agent_id}/models/{model_id}", 204, "1 3 y y y  3 y  3 y y  3  4 3  1 1 3 1", on="placement"),
    Row("POST /agents/{agent_id}/approve-removal", 200, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="agent"),
    Row("POST /agents/{agent_id}/sync", 200, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="agent"),
    Row("DELETE /agents/{agent_id}", 204, "1 3 3 y y  3 3  3 3 y  3  4 3  1 1 3 1", on="agent"),
    # What a machine asks and says, nobody else does.
    Row("GET /agent/manifest", 200, "1 3 3 3 3  3 3  3 3 3  y  3 3  1 1 3 1", on="agent"),
    Row("POST /agent/heartbeat", 200, "1 3 3 3 3  3 3  3 3 3  y  3 3  1 1 3 1", body="heartbeat"),
    Row("GET /agent/models", 200, "1 3 3 3 3  3 3  3 3 3  y  3 3  1 1 3 1", on="agent"),
    Row("POST /agent/requests", 200, "1 3 3 3 3  3 3  3 3 3  y  3 3  1 1 3 1", on="agent", body="model request"),
    Row("POST /agent/loaders", 200, "1 3 3 3 3  3 3  3 3 3  y  3 3  1 1 3 1", on="agent", body="loaders"),
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
    # Below admin one sees the keys of what one paired only: every other key does not exist.
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
    Row("PUT /users/me", 200, "1 y y y y  3 3  3 3 3  3  y y  1 1 y 1", body="names"),
    Row("GET /users/me/sessions", 200, "1 y y y y  3 3  3 3 3  3  y y  1 1 y 1"),
    # There is no such session: allowed callers get 404.
    Row("DELETE /users/me/sessions/{session_id}", 404, "1 y y y y  3 3  3 3 3  3  y y  1 1 y 1", on="session"),
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
    if row.body in RAW_BODIES:
        arguments["content"] = RAW_BODIES[row.body]
    elif row.body:
        arguments["json"] = (
            build_new_version(setup, target) if row.body == "new version" else build_body(row.body, target, setup)
        )
    elif path.endswith(("/manifest", "/agent/models")):
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

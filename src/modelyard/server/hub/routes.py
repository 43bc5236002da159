"""``/hf``: what clients of Hugging Face ask for. Not part of the API, whose document does not describe it."""

from collections.abc import Callable
from functools import partial
from typing import Annotated
from urllib.parse import parse_qsl

import anyio.to_thread
from fastapi import APIRouter, Depends, Query, Request, Response, status
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel

from modelyard.server.database.session import Database
from modelyard.server.http.json_body import BODY_SECONDS, BodyBudget, receive_file
from modelyard.server.http.middleware.head_requests import is_head_request
from modelyard.server.http.operation_limiter import OperationLimiter
from modelyard.server.http.params import get_cipher
from modelyard.server.http.public_url import PublicUrl
from modelyard.server.hub import documents
from modelyard.server.hub.addresses import AddressKind, HubAddress, parse_address
from modelyard.server.hub.errors import HubRoute
from modelyard.server.hub.listing import ListQuery, check_filters, list_repositories
from modelyard.server.hub.operations import Repository, RepositoryFile, find_repository
from modelyard.server.hub.pull_through import (
    ABSENT,
    PullThrough,
    explain_absence,
    is_from_source,
    may_import,
    pull_repository,
)
from modelyard.server.models.downloads import presign_download, presign_folder_file
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.storage.dependency import build_absolute_url
from modelyard.server.teams.context import TeamContext, require_permission
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems

PREFIX = "/hf"
MAX_PATHS, MAX_PATHS_BYTES = 1000, 256 * 1024
UPLOADS_REFUSED = (
    "This address is for downloads only. Upload with `modelyard push`, or in the page; `modelyard add` imports a model "
    "from Hugging Face."
)
router = APIRouter(route_class=HubRoute, prefix=PREFIX, include_in_schema=False)

# Machines get what their manifest names, and have no use for repositories.
Reading = Annotated[TeamContext, require_permission(Operation.MODELS_READ)]


class HubQuery(BaseModel):
    """What of a repository is asked for: sizes and hashes in its info, the content of sub-folders in a tree."""

    blobs: bool = False
    recursive: bool = False


async def _parse_address(request: Request) -> HubAddress | None:
    """Return what the request asks for; None if it is nothing that this endpoint has."""
    path = request.scope.get("raw_path", b"").decode("ascii", "replace").partition("?")[0]
    return parse_address(path.partition(f"{PREFIX}/")[2])


Address = Annotated[HubAddress | None, Depends(_parse_address)]
IsHead = Annotated[bool, Depends(is_head_request)]


async def _read_paths(request: Request, _team: Reading, address: Address) -> frozenset[str]:
    """Return the paths in the form of a request for entries; no paths, and no body is read, for other requests.

    Raises:
        InvalidRequest: there are too many.
        BodyTooLarge, RequestStalled, Unavailable: see ``receive_file``.
    """
    if address is None or address.kind is not AddressKind.PATHS_INFO:
        return frozenset()
    budget: BodyBudget = request.app.state.body_budget
    async with receive_file(request, budget, MAX_PATHS_BYTES, BODY_SECONDS) as body:
        return await anyio.to_thread.run_sync(_parse_paths, body)


def _parse_paths(body: bytes) -> frozenset[str]:
    """Return the paths of a form; takes some milliseconds. Raises ``InvalidRequest`` if there are too many."""
    try:
        fields = parse_qsl(body.decode("utf-8", "replace"), max_num_fields=MAX_PATHS + 1)
    except ValueError:
        raise problems.InvalidRequest.for_field("paths", f"At most {MAX_PATHS} paths are allowed") from None
    return frozenset(value for name, value in fields if name == "paths")


@router.get("/api/agent-harnesses")
async def list_agent_harnesses() -> JSONResponse:
    """Return an empty list, which clients keep for a day; without it, each of their processes asks again."""
    return JSONResponse(documents.NO_HARNESSES)


@router.get("/api/whoami-v2")
def get_hub_user(team: Reading) -> JSONResponse:
    """Return the name of the caller, for `hf auth login` and `hf auth whoami`."""
    return JSONResponse(documents.build_whoami(team))


@router.get("/api/models")
def list_hub_models(
    query: Annotated[ListQuery, Query()], team: Reading, public_url: PublicUrl, request: Request
) -> JSONResponse:
    """Return a page of the team's repositories; the header `Link` has the URL of the next one.

    Raises:
        InvalidRequest: the cursor is malformed, or the list has no such filter or order.
    """
    check_filters(request.query_params)
    database: Database = request.app.state.database
    with database.reading() as session:
        repositories, cursor = list_repositories(session, team, query)
    headers = {}
    if cursor is not None:
        following = request.url.include_query_params(cursor=cursor).query
        headers["Link"] = f'<{public_url}{PREFIX}/api/models?{following}>; rel="next"'
    return JSONResponse([documents.build_list_entry(repository) for repository in repositories], headers=headers)


@router.get("/{address:path}", response_model=None)
async def read_from_hub(
    query: Annotated[HubQuery, Query()],
    team: Reading,
    address: Address,
    is_head: IsHead,
    public_url: PublicUrl,
    request: Request,
) -> Response:
    """Return the info or the tree of a repository, or redirect to a file; for HEAD, return the file's headers."""
    if address is None or address.kind is AddressKind.PATHS_INFO:
        raise problems.RouteNotFound("The registry has models only: there is nothing at this address.")
    objects: ObjectChecks = request.app.state.object_checks
    kind, path = address.kind, address.path

    def respond(repository: Repository) -> Response:
        """Respond with what is asked for of a repository; uses the database for a file."""
        if kind is AddressKind.INFO:
            return JSONResponse(documents.build_info(repository, with_blobs=query.blobs))
        if kind is AddressKind.TREE:
            return JSONResponse(documents.build_tree(repository, path, is_recursive=query.recursive))
        return _respond_with_file(objects, team, repository, path, None if is_head else public_url)

    return await _respond_from_repository(request, team, address, respond)


@router.post("/{address:path}", response_model=None)
async def post_to_hub(
    team: Reading, address: Address, paths: Annotated[frozenset[str], Depends(_read_paths)], request: Request
) -> Response:
    """Return the entries of some paths of a repository; refuse everything else, such as uploads."""
    if address is None or address.kind is not AddressKind.PATHS_INFO:
        raise problems.MethodNotAllowed(UPLOADS_REFUSED)

    def respond(repository: Repository) -> Response:
        """Respond with the entries of the paths."""
        return JSONResponse(documents.build_paths_info(repository, paths))

    return await _respond_from_repository(request, team, address, respond)


@router.put("/{address:path}", response_model=None)
@router.delete("/{address:path}", response_model=None)
def refuse_change(team: Reading) -> Response:  # noqa: ARG001 - only members of a team are told
    """Refuse changes of repositories."""
    raise problems.MethodNotAllowed(UPLOADS_REFUSED)


async def _respond_from_repository(
    request: Request, team: TeamContext, address: HubAddress, respond: Callable[[Repository], Response]
) -> Response:
    """Respond with a repository of an address: of the registry, or as Hugging Face has it if the team allows that.

    Requests to Hugging Face have threads of their own. Raises as ``find_repository`` and ``pull_repository``.
    """
    state = request.app.state
    reading: OperationLimiter = state.read_limiter
    found = await reading.run(team.account, partial(_find_here, state.database, team, address, respond))
    if found is not None:
        return found
    lookups: OperationLimiter = state.lookup_limiter
    pull = PullThrough(state.object_checks, state.settings, state.sources, await get_cipher(request))
    repository = await lookups.run(team.account, partial(pull_repository, pull, team, address))
    return await reading.run(team.account, partial(respond, repository))


def _find_here(
    database: Database, team: TeamContext, address: HubAddress, respond: Callable[[Repository], Response]
) -> Response | None:
    """Respond with a repository that the registry has; return None if Hugging Face has to be asked.

    That is for every list of files that the team lets the caller import, and for a file that the registry does not
    have. Raises as ``find_repository``.
    """
    path = address.path if address.kind is AddressKind.FILE else None
    with database.reading() as session:
        from_source = is_from_source(session, team, address)
        if from_source and path is None and may_import(team):
            return None
        try:
            repository = find_repository(session, team, address.repository, address.revision, path)
            if path is not None:
                repository.get_file(path)
        except ABSENT as absent:
            if not from_source:
                raise
            if may_import(team):
                return None
            raise explain_absence(absent) from None
    return respond(repository)


def _respond_with_file(
    objects: ObjectChecks, team: TeamContext, repository: Repository, path: str, public_url: str | None
) -> Response:
    """Redirect to the content of a file that the registry has; without ``public_url``, return its headers only."""
    file = repository.get_file(path)
    if file.model_id is None:
        raise repository.build_file_not_found()
    headers = _build_file_headers(repository, file)
    if public_url is None:
        return Response(headers=headers | {"Content-Length": str(file.size)}, media_type="application/octet-stream")
    if file.position is None:
        signed = presign_download(objects, team, file.model_id, file.version).request
    else:
        signed = presign_folder_file(objects, team, file.model_id, file.version, file.position).request
    url = build_absolute_url(public_url, signed)
    return RedirectResponse(url, status.HTTP_307_TEMPORARY_REDIRECT, headers | {"Cache-Control": "no-store"})


def _build_file_headers(repository: Repository, file: RepositoryFile) -> dict[str, str]:
    """Return the headers from which clients take the size and the hash of a file.

    The hash as ETag lets them recognise a file that they have.
    """
    etag = f'"{file.sha256}"'
    return {
        "X-Repo-Commit": repository.revision,
        "X-Linked-Size": str(file.size),
        "X-Linked-ETag": etag,
        "ETag": etag,
        "Accept-Ranges": "bytes",
    }

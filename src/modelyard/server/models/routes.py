"""``/models``: presign, register, list, look up, read, change, delete, restore, download."""

from typing import Annotated

from fastapi import Depends, Header, Query, Request, Response, status
from fastapi.responses import RedirectResponse

from modelyard.server.database.session import Db
from modelyard.server.http.api_route import ApiRouter, only_reads, receives_file_lists, registers_models
from modelyard.server.http.compression import build_compressed_response
from modelyard.server.http.paging import PageParams
from modelyard.server.http.params import CurrentSettings, PathId
from modelyard.server.http.problems import answers
from modelyard.server.http.public_url import PublicUrl
from modelyard.server.models import downloads, operations
from modelyard.server.models.listing.facet_cache import FacetCache, find_or_count_facets
from modelyard.server.models.lookups import operations as lookups
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.models.records import build_model
from modelyard.server.models.registration import operations as registration
from modelyard.server.models.responses.lookup_result import build_records, encode_result
from modelyard.server.models.responses.model_list import encode_page
from modelyard.server.storage.blob_store import SignedRequest
from modelyard.server.storage.dependency import build_absolute_url
from modelyard.server.teams.context import ACCESS_PROBLEMS, TeamContext, require_permission
from modelyard.server.teams.permissions import Operation, check_permission
from modelyard.server.uploads.operations import OpenedUpload
from modelyard.wire import problems
from modelyard.wire.folders.schemas import FolderFileEntry, FolderFileList
from modelyard.wire.hashes.lookups import LookupResult, ModelHashes, ModelLookup
from modelyard.wire.model_filter import FacetList, FacetQuery, ModelFilter
from modelyard.wire.models import DownloadTicket, Model, ModelList, ModelUpdate, NewModel, RegisteredModel
from modelyard.wire.schemas import Done, Updated
from modelyard.wire.uploads import UploadRequest, UploadTicket
from modelyard.wire.versions import MAX_VERSION

router = ApiRouter("models", prefix="/models")

LOCATION = {"Location": {"schema": {"type": "string"}}}

Reading = Annotated[TeamContext, require_permission(Operation.MODELS_READ)]
Downloading = Annotated[TeamContext, require_permission(Operation.MODELS_DOWNLOAD)]
LookingUp = Annotated[TeamContext, require_permission(Operation.MODELS_LOOKUP)]
Uploading = Annotated[TeamContext, require_permission(Operation.MODELS_UPLOAD)]
Editing = Annotated[TeamContext, require_permission(Operation.MODELS_EDIT)]


async def get_object_checks(request: Request) -> ObjectChecks:
    """Return the object checks of this process; async, so that no thread is needed for it."""
    checks: ObjectChecks = request.app.state.object_checks
    return checks


async def get_facet_cache(request: Request) -> FacetCache:
    """Return the cache of facets of this process; async, so that no thread is needed for it."""
    cache: FacetCache = request.app.state.facet_cache
    return cache


Facets = Annotated[FacetCache, Depends(get_facet_cache)]
Objects = Annotated[ObjectChecks, Depends(get_object_checks)]
WhichVersion = Annotated[
    int | None, Query(ge=1, le=MAX_VERSION, description="Which version; without it the current one.", examples=[3])
]
IfMatch = Annotated[
    str | None, Header(description="Apply the change only if the record still has this ETag.", examples=['"1"'])
]


def build_ticket(public_url: PublicUrl, opened: OpenedUpload, request: SignedRequest) -> UploadTicket:
    """Build the answer of a presigned upload."""
    return UploadTicket(
        upload_url=build_absolute_url(public_url, request),
        storage_key=opened.upload.storage_key,
        upload_headers=dict(request.headers),
        expires_at=request.expires_at,
        multipart_required=opened.multipart.is_required,
        multipart_recommended=opened.multipart.is_recommended,
        already_stored=opened.is_stored,
        hash_first=opened.hash_first,
    )


@router.post(
    "/presign",
    responses=answers(
        *ACCESS_PROBLEMS,
        problems.QuotaExceeded,
        problems.ModelNotFound,
        problems.ModelPathTaken,
        problems.ModelPathRefused,
        problems.ModelTypeUnknown,
        problems.InvalidRequest,
        problems.NotAModelFile,
        problems.TooManyUploads,
        problems.StorageFull,
        problems.HostNotAllowed,
    ),
)
def presign_upload(
    new: UploadRequest, team: Uploading, objects: Objects, settings: CurrentSettings, public_url: PublicUrl
) -> UploadTicket:
    """Get a presigned URL to upload a file to."""
    return build_ticket(public_url, *registration.presign_upload(objects, team, settings, new))


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses=answers(
        *ACCESS_PROBLEMS,
        problems.UploadNotFound,
        problems.ModelNotFound,
        problems.SizeMismatch,
        problems.UploadIncomplete,
        problems.NotAModelFile,
        problems.HashMismatch,
        problems.ModelPathRefused,
        problems.ModelTypeUnknown,
        problems.InvalidRequest,
        problems.ModelPathTaken,
        problems.UploadUsed,
        problems.VersionConflict,
        problems.VerificationQueueFull,
        also={
            200: {
                "model": RegisteredModel,
                "description": "The model existed before: it got a new version, or has this content already.",
            }
        },
    ),
)
@registers_models
@receives_file_lists
def create_model(
    new: NewModel, team: Uploading, objects: Objects, settings: CurrentSettings, response: Response
) -> RegisteredModel:
    """Register a model after its file was uploaded."""
    registered = registration.register_model(objects, team, settings, new)
    if not registered.is_new:
        response.status_code = status.HTTP_200_OK
    return RegisteredModel(id=registered.id, ignored_list=list(registered.ignored))


@router.get("", response_model=ModelList, responses=answers(*ACCESS_PROBLEMS, problems.InvalidRequest))
def list_models(
    model_filter: Annotated[ModelFilter, Query()],
    team: Reading,
    database: Db,
    settings: CurrentSettings,
    page: PageParams,
    accept_encoding: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """List models; with `cursor`, pages of very long records end early, and without it they are refused."""
    with database.reading() as session:
        body = encode_page(session, team, model_filter, page, settings.trash_days)
    return build_compressed_response(body, accept_encoding)


@router.get("/facets", responses=answers(*ACCESS_PROBLEMS, problems.InvalidRequest))
def count_facets(query: Annotated[FacetQuery, Query()], team: Reading, database: Db, cache: Facets) -> FacetList:
    """Count the models that a search finds by type, base model, tag, replica state and uploader."""
    with database.reading() as session:
        return find_or_count_facets(session, team, query, cache)


@router.post("/lookup", response_model=LookupResult, responses=answers(*ACCESS_PROBLEMS, problems.InvalidRequest))
@only_reads
def look_up_models(
    body: ModelLookup,
    team: LookingUp,
    database: Db,
    settings: CurrentSettings,
    accept_encoding: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """Find up to 1,000 models by hashes of their content, by paths and by ids."""
    if body.records:
        check_permission(Operation.MODELS_READ, team.caller, team.role)
    with database.reading() as session:
        found = lookups.look_up_models(session, team, body)
        records = build_records(session, team, found, settings.trash_days) if body.records else None
    return build_compressed_response(encode_result(found, records), accept_encoding)


@router.get("/{model_id}", responses=answers(*ACCESS_PROBLEMS, problems.ModelNotFound))
def get_model(model_id: PathId, team: Reading, database: Db, settings: CurrentSettings, response: Response) -> Model:
    """Read a model."""
    with database.reading() as session:
        model = operations.find_model(session, team, operations.parse_model_id(model_id))
        response.headers["ETag"] = operations.build_etag(model)
        return build_model(session, team, model, settings.trash_days)


@router.get(
    "/{model_id}/hashes",
    responses=answers(*ACCESS_PROBLEMS, problems.ModelNotFound, problems.VersionNotFound, problems.InvalidRequest),
)
def get_model_hashes(model_id: PathId, team: Reading, database: Db, version: WhichVersion = None) -> ModelHashes:
    """Read the hashes of a model's content."""
    with database.reading() as session:
        return lookups.get_hashes(session, team, operations.parse_model_id(model_id), version)


@router.put(
    "/{model_id}",
    responses=answers(
        *ACCESS_PROBLEMS,
        problems.ModelNotFound,
        problems.ModelPathTaken,
        problems.ModelPathRefused,
        problems.ModelTypeUnknown,
        problems.InvalidRequest,
        problems.RecordStale,
    ),
)
def update_model(
    model_id: PathId, change: ModelUpdate, team: Editing, database: Db, response: Response, if_match: IfMatch = None
) -> Updated:
    """Change a model's record."""
    model = operations.update_model(database, team, operations.parse_model_id(model_id), change, if_match)
    response.headers["ETag"] = operations.build_etag(model)
    return Updated(id=model.id)


@router.post(
    "/{model_id}/restore", responses=answers(*ACCESS_PROBLEMS, problems.ModelNotFound, problems.ModelPathTaken)
)
def restore_model(model_id: PathId, team: Editing, database: Db) -> Done:
    """Restore a model from the trash."""
    with database.writing(team.team_id) as session:
        operations.restore_model(session, team, operations.parse_model_id(model_id))
    return Done()


@router.get(
    "/{model_id}/download",
    response_model=DownloadTicket,
    responses=answers(
        *ACCESS_PROBLEMS,
        problems.ModelNotFound,
        problems.VersionNotFound,
        problems.ModelIsFolder,
        problems.ModelNotVerified,
        problems.ModelDamaged,
        problems.HostNotAllowed,
        problems.InvalidRequest,
        also={307: {"description": "A redirect to a presigned URL that supports ranges.", "headers": LOCATION}},
    ),
)
def download_model(
    model_id: PathId,
    team: Downloading,
    objects: Objects,
    public_url: PublicUrl,
    redirect: Annotated[
        bool, Query(description="`false` returns the URL as JSON instead of a redirect.", examples=[False])
    ] = True,
    version: WhichVersion = None,
) -> DownloadTicket | RedirectResponse:
    """Download a model."""
    request, is_doubtful = downloads.presign_download(objects, team, operations.parse_model_id(model_id), version)
    url = build_absolute_url(public_url, request)
    if redirect:
        return RedirectResponse(url, status.HTTP_307_TEMPORARY_REDIRECT, {"Cache-Control": "no-store"})
    return DownloadTicket(download_url=url, expires_at=request.expires_at, is_doubtful=is_doubtful)


@router.get(
    "/{model_id}/files",
    responses=answers(
        *ACCESS_PROBLEMS,
        problems.ModelNotFound,
        problems.VersionNotFound,
        problems.ModelNotVerified,
        problems.ModelDamaged,
        problems.HostNotAllowed,
        problems.InvalidRequest,
    ),
)
def list_model_files(
    model_id: PathId,
    team: Downloading,
    objects: Objects,
    public_url: PublicUrl,
    page: PageParams,
    version: WhichVersion = None,
) -> FolderFileList:
    """List the files of a model, with a download URL for each."""
    found = downloads.presign_files(objects, team, operations.parse_model_id(model_id), version, page)
    entries = [
        FolderFileEntry(
            path=file.path,
            file_size=file.size,
            file_hash=f"sha256:{file.sha256}",
            download_url=build_absolute_url(public_url, file.request),
            is_doubtful=file.is_doubtful,
        )
        for file in found.files
    ]
    return FolderFileList(version=found.version, file_hash=found.file_hash, file_list=entries, page_meta=found.meta)

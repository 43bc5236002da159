"""``/models``: presign, register, list, read, change, delete, restore, download."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response, status
from fastapi.responses import RedirectResponse

from modelyard.server.database.session import Db
from modelyard.server.identity.asked import PathId
from modelyard.server.inbound import Configured, PublicUrl
from modelyard.server.models import operations, registering
from modelyard.server.models.holders.wanting import Machines
from modelyard.server.models.listing import pages
from modelyard.server.models.listing.filters import ModelFilter
from modelyard.server.packing import packed
from modelyard.server.paging import AskedPage
from modelyard.server.problems import answers
from modelyard.server.storage.injected import Store, absolute
from modelyard.server.teams.acting import REFUSALS, Acting, may
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.models import DownloadTicket, Model, ModelChange, ModelList, NewModel
from modelyard.wire.shapes import Created, Done, Updated
from modelyard.wire.uploads import UploadRequest, UploadTicket

router = APIRouter(prefix="/models", tags=["models"])

LOCATION = {"Location": {"schema": {"type": "string"}}}

Reading = Annotated[Acting, may(Operation.MODELS_READ)]
Downloading = Annotated[Acting, may(Operation.MODELS_DOWNLOAD)]
Uploading = Annotated[Acting, may(Operation.MODELS_UPLOAD)]
Editing = Annotated[Acting, may(Operation.MODELS_EDIT)]
IfMatch = Annotated[str | None, Header(description="Only if the record still has this ETag.", examples=['"1"'])]


@router.post(
    "/presign",
    responses=answers(
        *REFUSALS,
        problems.QuotaExceeded,
        problems.ModelPathTaken,
        problems.ModelPathRefused,
        problems.InvalidRequest,
        problems.TooManyAttempts,
        problems.StorageFull,
        problems.HostNotAllowed,
    ),
)
def presign_model(
    new: UploadRequest, acting: Uploading, database: Db, store: Store, settings: Configured, public_url: PublicUrl
) -> UploadTicket:
    """Ask where to put a file."""
    opened, request = registering.presign_upload(database, store, acting, settings, new)
    return UploadTicket(
        upload_url=absolute(public_url, request),
        storage_key=opened.upload.storage_key,
        upload_headers=dict(request.headers),
        expires_at=request.expires_at,
        multipart_required=new.file_size > settings.single_put_limit,
        already_stored=opened.is_stored,
        hash_first=opened.hash_first,
    )


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses=answers(
        *REFUSALS,
        problems.UploadNotFound,
        problems.ModelNotFound,
        problems.UploadIncomplete,
        problems.NotAModelFile,
        problems.HashMismatch,
        problems.ModelPathRefused,
        problems.InvalidRequest,
        problems.ModelPathTaken,
        problems.UploadUsed,
        also={200: {"model": Created, "description": "It is registered already: the same request, or the same bytes."}},
    ),
)
def create_model(new: NewModel, acting: Uploading, database: Db, store: Store, response: Response) -> Created:
    """Register a model after uploading."""
    registered = registering.register_model(database, store, acting, new)
    if not registered.is_new:
        response.status_code = status.HTTP_200_OK
    return Created(id=registered.id)


@router.get("", response_model=ModelList, responses=answers(*REFUSALS, problems.InvalidRequest))
def list_models(
    wanted: Annotated[ModelFilter, Query()],
    acting: Reading,
    database: Db,
    settings: Configured,
    page: AskedPage,
    accept_encoding: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """List models."""
    with database.reading() as session:
        listed = pages.list_models(session, acting, wanted, page)
        machines = Machines.of(session, acting.team_id)
        models = [operations.as_wire(model, machines, settings.trash_days) for model in listed.models]
        body = ModelList(model_list=models, page_meta=listed.meta).model_dump_json().encode()
    return packed(body, accept_encoding)


@router.get("/{model_id}", responses=answers(*REFUSALS, problems.ModelNotFound))
def read_model(model_id: PathId, acting: Reading, database: Db, settings: Configured, response: Response) -> Model:
    """Read a model."""
    with database.reading() as session:
        model = operations.find_model(session, acting, operations.id_of(model_id))
        response.headers["ETag"] = operations.etag_of(model)
        return operations.as_wire(model, Machines.of(session, acting.team_id), settings.trash_days)


@router.put(
    "/{model_id}",
    responses=answers(
        *REFUSALS,
        problems.ModelNotFound,
        problems.ModelPathTaken,
        problems.ModelPathRefused,
        problems.InvalidRequest,
        problems.VersionStale,
    ),
)
def change_model(
    model_id: PathId, change: ModelChange, acting: Editing, database: Db, response: Response, if_match: IfMatch = None
) -> Updated:
    """Change a model's record."""
    with database.writing(acting.team_id) as session:
        model = operations.change_model(session, acting, operations.id_of(model_id), change, if_match)
        response.headers["ETag"] = operations.etag_of(model)
        return Updated(id=model.id)


@router.delete(
    "/{model_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=answers(*REFUSALS, problems.ModelNotFound, problems.VersionStale),
)
def delete_model(model_id: PathId, acting: Editing, database: Db, if_match: IfMatch = None) -> None:
    """Delete a model; it can be restored for a while."""
    with database.writing(acting.team_id) as session:
        operations.delete_model(session, acting, operations.id_of(model_id), if_match)


@router.post("/{model_id}/restore", responses=answers(*REFUSALS, problems.ModelNotFound, problems.ModelPathTaken))
def restore_model(model_id: PathId, acting: Editing, database: Db) -> Done:
    """Take a model back from the trash."""
    with database.writing(acting.team_id) as session:
        operations.restore_model(session, acting, operations.id_of(model_id))
    return Done()


@router.get(
    "/{model_id}/download",
    response_model=DownloadTicket,
    responses=answers(
        *REFUSALS,
        problems.ModelNotFound,
        problems.ModelNotVerified,
        problems.ModelDamaged,
        problems.HostNotAllowed,
        problems.InvalidRequest,
        also={307: {"description": "To a signed URL that serves ranges.", "headers": LOCATION}},
    ),
)
def download_model(
    model_id: PathId,
    acting: Downloading,
    database: Db,
    store: Store,
    public_url: PublicUrl,
    redirect: Annotated[
        bool, Query(description="`false` answers the URL instead of going there.", examples=[False])
    ] = True,
) -> DownloadTicket | RedirectResponse:
    """Download a model."""
    request = operations.download_request(database, store, acting, operations.id_of(model_id))
    url = absolute(public_url, request)
    if redirect:
        return RedirectResponse(url, status.HTTP_307_TEMPORARY_REDIRECT, {"Cache-Control": "no-store"})
    return DownloadTicket(download_url=url, expires_at=request.expires_at)

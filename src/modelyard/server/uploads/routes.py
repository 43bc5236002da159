"""``/uploads/multipart``: large files, part by part."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, status

from modelyard.server.database.session import Db
from modelyard.server.identity.bearer import Caller, SignedIn
from modelyard.server.inbound import Configured, PublicUrl
from modelyard.server.problems import answers
from modelyard.server.storage.injected import Store, absolute
from modelyard.server.teams.permissions import Operation, check
from modelyard.server.uploads import multipart
from modelyard.wire import problems, uploads
from modelyard.wire.shapes import Done

router = APIRouter(prefix="/uploads/multipart", tags=["uploads"])
REFUSALS = (
    problems.Unauthenticated,
    problems.TwoCredentials,
    problems.RoleTooLow,
    problems.KeyNotAllowed,
    problems.UploadNotFound,
    problems.InvalidRequest,
)


def may_upload_somewhere(caller: SignedIn) -> Caller:
    """A caller whose kind may upload at all; whether in the upload's own team, only its storage key tells."""
    if caller.user_id is None:
        check(Operation.MODELS_UPLOAD, caller, None)
    return caller


Uploader = Annotated[Caller, Depends(may_upload_somewhere)]


@router.post(
    "/initiate", responses=answers(*REFUSALS, problems.SizeMismatch, problems.UploadUsed, problems.StorageFull)
)
def initiate_multipart(
    new: uploads.MultipartRequest, caller: Uploader, database: Db, store: Store, settings: Configured
) -> uploads.MultipartStarted:
    """Begin sending a file in parts."""
    upload = multipart.begin_multipart(database, store, caller, settings, new)
    return uploads.MultipartStarted(
        upload_id=upload.multipart_id or "",
        storage_key=upload.storage_key,
        part_size=upload.part_size or 0,
        part_count=multipart.part_count(upload),
    )


@router.post("/presign", responses=answers(*REFUSALS, problems.HostNotAllowed))
def presign_parts(
    wanted: uploads.PartsRequest, caller: Uploader, database: Db, store: Store, public_url: PublicUrl
) -> uploads.PartTickets:
    """Ask where to put parts."""
    signed = multipart.sign_parts(database, store, caller, wanted)
    return uploads.PartTickets(
        part_list=[
            uploads.PartTicket(
                part_number=number, upload_url=absolute(public_url, request), upload_headers=dict(request.headers)
            )
            for number, request in signed
        ]
    )


@router.get("/parts", responses=answers(*REFUSALS))
def list_parts(
    storage_key: Annotated[
        uploads.StorageKey, Query(description="The handle from presign.", examples=[uploads.EXAMPLE_KEY])
    ],
    upload_id: Annotated[uploads.UploadId, Query(description="The id from initiate.", examples=["0199a1de7c1e7a52"])],
    caller: Uploader,
    database: Db,
    store: Store,
) -> uploads.StoredParts:
    """List the parts that have arrived."""
    wanted = uploads.Multipart(storage_key=storage_key, upload_id=upload_id)
    held = multipart.stored_parts(database, store, caller, wanted)
    return uploads.StoredParts(
        part_list=[uploads.StoredPart(part_number=part.number, etag=part.etag, size=part.size) for part in held]
    )


@router.post("/complete", responses=answers(*REFUSALS, problems.PartsWrong, problems.UploadUsed, problems.StorageFull))
def complete_multipart(wanted: uploads.MultipartCompletion, caller: Uploader, database: Db, store: Store) -> Done:
    """Make the parts one file."""
    multipart.complete_multipart(database, store, caller, wanted)
    return Done()


@router.post("/abort", status_code=status.HTTP_204_NO_CONTENT, responses=answers(*REFUSALS))
def abort_multipart(wanted: uploads.Multipart, caller: Uploader, database: Db, store: Store) -> None:
    """Give the parts up."""
    multipart.abort_multipart(database, store, caller, wanted)

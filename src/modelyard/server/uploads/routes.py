"""Routes ``/uploads/multipart``: uploading large files in parts."""

from typing import Annotated

from fastapi import Depends, Query, status

from modelyard.server.database.session import Db
from modelyard.server.http.api_route import ApiRouter
from modelyard.server.http.params import CurrentSettings
from modelyard.server.http.problems import answers
from modelyard.server.http.public_url import PublicUrl
from modelyard.server.identity.authentication import AuthenticatedCaller, Caller
from modelyard.server.storage.dependency import Store, build_absolute_url
from modelyard.server.teams.permissions import Operation, check_permission
from modelyard.server.uploads import multipart
from modelyard.wire import problems, uploads
from modelyard.wire.schemas import EXAMPLE_KEY, Done, StorageKey

router = ApiRouter("uploads", prefix="/uploads/multipart")
ACCESS_PROBLEMS = (
    problems.Unauthenticated,
    problems.TwoCredentials,
    problems.RoleTooLow,
    problems.KeyNotAllowed,
    problems.UploadNotFound,
    problems.InvalidRequest,
)


async def check_may_upload(caller: AuthenticatedCaller) -> Caller:
    """Check that this kind of caller may upload at all, and return the caller.

    Whether a user may upload in the upload's team is checked once its storage key is known.

    Raises:
        KeyNotAllowed: a key of this kind cannot upload.
    """
    if caller.user_id is None:
        check_permission(Operation.MODELS_UPLOAD, caller, None)
    return caller


Uploader = Annotated[Caller, Depends(check_may_upload)]


@router.post(
    "/initiate", responses=answers(*ACCESS_PROBLEMS, problems.SizeMismatch, problems.UploadUsed, problems.StorageFull)
)
def start_multipart_upload(
    new: uploads.MultipartRequest, caller: Uploader, database: Db, store: Store, settings: CurrentSettings
) -> uploads.MultipartStarted:
    """Begin a multipart upload."""
    upload = multipart.begin_multipart(database, store, caller, settings, new)
    return uploads.MultipartStarted(
        upload_id=upload.multipart_id or "",
        storage_key=upload.storage_key,
        part_size=upload.part_size or 0,
        part_count=multipart.count_parts(upload),
    )


@router.post("/presign", responses=answers(*ACCESS_PROBLEMS, problems.HostNotAllowed))
def presign_upload_parts(
    body: uploads.PartsRequest, caller: Uploader, database: Db, store: Store, public_url: PublicUrl
) -> uploads.PartTickets:
    """Get presigned URLs to upload parts to."""
    signed = multipart.presign_parts(database, store, caller, body)
    return uploads.PartTickets(
        part_list=[
            uploads.PartTicket(
                part_number=number,
                upload_url=build_absolute_url(public_url, request),
                upload_headers=dict(request.headers),
            )
            for number, request in signed
        ]
    )


@router.get("/parts", responses=answers(*ACCESS_PROBLEMS))
def list_upload_parts(
    storage_key: Annotated[StorageKey, Query(description="The storage key from presign.", examples=[EXAMPLE_KEY])],
    upload_id: Annotated[
        uploads.UploadId, Query(description="The upload id from initiate.", examples=["0199a1de7c1e7a52"])
    ],
    caller: Uploader,
    database: Db,
    store: Store,
) -> uploads.StoredParts:
    """List the parts that were uploaded."""
    body = uploads.Multipart(storage_key=storage_key, upload_id=upload_id)
    stored = multipart.list_stored_parts(database, store, caller, body)
    return uploads.StoredParts(
        part_list=[uploads.StoredPart(part_number=part.number, etag=part.etag, size=part.size) for part in stored]
    )


@router.post(
    "/complete", responses=answers(*ACCESS_PROBLEMS, problems.PartsWrong, problems.UploadUsed, problems.StorageFull)
)
def complete_multipart_upload(body: uploads.MultipartCompletion, caller: Uploader, database: Db, store: Store) -> Done:
    """Complete a multipart upload by combining its parts into one file."""
    multipart.complete_multipart(database, store, caller, body)
    return Done()


@router.post("/abort", status_code=status.HTTP_204_NO_CONTENT, responses=answers(*ACCESS_PROBLEMS))
def abort_multipart_upload(body: uploads.Multipart, caller: Uploader, database: Db, store: Store) -> None:
    """Abort a multipart upload and delete its parts."""
    multipart.abort_multipart(database, store, caller, body)

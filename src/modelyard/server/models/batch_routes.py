"""``/models/presign-batch``, ``register-batch`` and ``download-batch``: up to 100 files a request."""

from typing import Literal

from modelyard.server.http.api_route import ApiRouter, registers_models
from modelyard.server.http.params import CurrentSettings
from modelyard.server.http.problems import answers
from modelyard.server.http.public_url import PublicUrl
from modelyard.server.models import downloads
from modelyard.server.models.batches import run_each
from modelyard.server.models.registration import operations as registration
from modelyard.server.models.routes import Downloading, Objects, Uploading, build_ticket
from modelyard.server.storage.dependency import build_absolute_url
from modelyard.server.teams.context import ACCESS_PROBLEMS
from modelyard.wire import problems
from modelyard.wire.batches import (
    DownloadBatch,
    DownloadRequest,
    DownloadResult,
    DownloadResults,
    ModelBatch,
    ModelResult,
    ModelResults,
    UploadBatch,
    UploadResult,
    UploadResults,
)
from modelyard.wire.models import NewModel
from modelyard.wire.uploads import UploadRequest

router = ApiRouter("models", prefix="/models")


@router.post(
    "/presign-batch",
    response_model_exclude_unset=True,
    responses=answers(*ACCESS_PROBLEMS, problems.InvalidRequest),
)
def presign_uploads(
    batch: UploadBatch, team: Uploading, objects: Objects, settings: CurrentSettings, public_url: PublicUrl
) -> UploadResults:
    """Get presigned URLs to upload up to 100 files to."""

    def presign(new: UploadRequest) -> UploadResult:
        """Presign one upload."""
        ticket = build_ticket(public_url, *registration.presign_upload(objects, team, settings, new))
        return UploadResult(status=200, **ticket.model_dump())

    return UploadResults(result_list=run_each(batch.upload_list, UploadRequest, presign))


@router.post(
    "/register-batch",
    response_model_exclude_unset=True,
    responses=answers(*ACCESS_PROBLEMS, problems.InvalidRequest),
)
@registers_models
def create_models(batch: ModelBatch, team: Uploading, objects: Objects, settings: CurrentSettings) -> ModelResults:
    """Register up to 100 models after their files were uploaded."""

    def register(new: NewModel) -> ModelResult:
        """Register one model."""
        registered = registration.register_model(objects, team, settings, new)
        status: Literal[200, 201] = 201 if registered.is_new else 200
        return ModelResult(status=status, id=registered.id, ignored_list=list(registered.ignored))

    return ModelResults(result_list=run_each(batch.model_list, NewModel, register))


@router.post(
    "/download-batch",
    response_model_exclude_unset=True,
    responses=answers(*ACCESS_PROBLEMS, problems.InvalidRequest),
)
def download_models(
    batch: DownloadBatch, team: Downloading, objects: Objects, public_url: PublicUrl
) -> DownloadResults:
    """Get presigned URLs to download up to 100 files from."""

    def presign(download: DownloadRequest) -> DownloadResult:
        """Presign one download."""
        request, is_doubtful = downloads.presign_download(objects, team, download.model_id, download.version)
        url = build_absolute_url(public_url, request)
        return DownloadResult(status=200, download_url=url, expires_at=request.expires_at, is_doubtful=is_doubtful)

    return DownloadResults(result_list=run_each(batch.download_list, DownloadRequest, presign))

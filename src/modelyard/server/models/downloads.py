"""Download URLs: presigned requests for the content of verified versions."""

from datetime import timedelta
from uuid import UUID

from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.models.tables import ModelRow
from modelyard.server.models.versions.access import build_model_damaged, find_readable_model, get_readable_version
from modelyard.server.storage.blob_store import SignedRequest
from modelyard.server.teams.context import TeamContext
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire import problems

GET_URL_LIFETIME = timedelta(minutes=15)
# If an object is damaged and the team has an intact copy, the model changes to that copy, which is checked next.
_MAX_CHECKS = 3


def presign_download(
    objects: ObjectChecks, team: TeamContext, model_id: UUID, number: int | None = None
) -> SignedRequest:
    """Return a presigned GET request for a version whose content is verified and whose stored object passes the checks.

    Without a ``number`` it is the version that the model's record shows.

    Raises:
        ModelNotFound: the team has no such model, or the caller is a machine whose manifest does not list it.
        VersionNotFound: the model has no such version, or the caller is a machine whose manifest has another one.
        ModelNotVerified: verification is not done yet.
        ModelDamaged: the stored content is wrong or missing, as this check or an earlier one showed.
        StoreUnavailable: see ``ObjectChecks.is_intact``.
        Unavailable: the stored objects changed during each of three checks.
    """
    model, blob = find_intact_version(objects, team, model_id, number)
    file_name = model.model_path.rsplit("/", 1)[-1]
    return objects.store.presign_download(blob.store_key, file_name, blob.sha256, GET_URL_LIFETIME)


def find_intact_version(
    objects: ObjectChecks, team: TeamContext, model_id: UUID, number: int | None
) -> tuple[ModelRow, BlobRow]:
    """Return a model, and the blob of a version of it whose stored object passes the checks; mark a damaged one.

    Raises:
        ModelNotFound, VersionNotFound, ModelNotVerified, ModelDamaged, StoreUnavailable, Unavailable: see
            ``presign_download``.
    """
    for _ in range(_MAX_CHECKS):
        model, blob = _get_verified_version(objects, team, model_id, number)
        if objects.is_intact(blob):
            return model, blob
    raise problems.Unavailable("The stored content of this model is changing. Try again.", retry_after=2)


def _get_verified_version(
    objects: ObjectChecks, team: TeamContext, model_id: UUID, number: int | None
) -> tuple[ModelRow, BlobRow]:
    """Return a model, and the blob of a verified version of it that the caller may download.

    Raises:
        ModelNotFound, VersionNotFound, ModelNotVerified, ModelDamaged: see ``presign_download``.
    """
    with objects.database.reading() as session:
        model = find_readable_model(session, team, model_id)
        version = get_readable_version(session, team, model, model.shown_version if number is None else number)
        blob = session.get_one(BlobRow, version.blob_id)
    if version.verification == "pending":
        raise problems.ModelNotVerified(
            "The registry has not verified this content yet. Try again later.", verification="pending"
        )
    if version.verification == "failed":
        raise build_model_damaged(version.verification_error)
    return model, blob

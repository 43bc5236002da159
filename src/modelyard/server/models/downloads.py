"""Download URLs: presigned requests for the content of verified models."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from modelyard.server.models.objects.checks import ObjectChecks, build_model_damaged
from modelyard.server.models.operations import build_model_not_found, find_model
from modelyard.server.models.replicas.key_access import is_in_any_manifest
from modelyard.server.models.tables import ModelRow
from modelyard.server.storage.blob_store import SignedRequest
from modelyard.server.teams.context import TeamContext
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire import problems

GET_URL_LIFETIME = timedelta(minutes=15)
# If an object is damaged and the team has an intact copy, the model changes to that copy, which is checked next.
_MAX_CHECKS = 3


def presign_download(objects: ObjectChecks, team: TeamContext, model_id: UUID) -> SignedRequest:
    """Return a presigned GET request for a model whose content is verified and whose stored object passes the checks.

    Raises:
        ModelNotFound: the team has no such model, or the caller is a machine whose manifest does not list it.
        ModelNotVerified: verification is not done yet.
        ModelDamaged: the stored content is wrong or missing, as this check or an earlier one showed.
        StoreUnavailable: see ``ObjectChecks.is_intact``.
        Unavailable: the stored objects changed during each of three checks.
    """
    for _ in range(_MAX_CHECKS):
        model, blob = _get_verified_model(objects, team, model_id)
        if objects.is_intact(blob):
            file_name = model.model_path.rsplit("/", 1)[-1]
            return objects.store.presign_download(blob.store_key, file_name, blob.sha256, GET_URL_LIFETIME)
    raise problems.Unavailable("The stored content of this model is changing. Try again.", retry_after=2)


def _get_verified_model(objects: ObjectChecks, team: TeamContext, model_id: UUID) -> tuple[ModelRow, BlobRow]:
    """Return a verified model that the caller may download, and its blob.

    Raises:
        ModelNotFound, ModelNotVerified, ModelDamaged: see ``presign_download``.
    """
    with objects.database.reading() as session:
        model = _find_downloadable_model(session, team, model_id)
        blob = session.get_one(BlobRow, model.blob_id)
    if model.verification == "pending":
        raise problems.ModelNotVerified(
            "The registry has not verified this model yet. Try again later.", verification="pending"
        )
    if model.verification == "failed":
        raise build_model_damaged(model.verification_error)
    return model, blob


def _find_downloadable_model(session: Session, team: TeamContext, model_id: UUID) -> ModelRow:
    """Return a model that is not in the trash; for a machine, one that its manifest lists or will list once verified.

    A machine's manifest may also list a replaced model in the trash, until its replacement is verified.

    Raises:
        ModelNotFound: there is no such model for this caller.
    """
    if team.caller.kind != "agent":
        return find_model(session, team, model_id)
    model = session.get(ModelRow, model_id)
    if model is None or model.team_id != team.team_id or not is_in_any_manifest(session, team, model):
        raise build_model_not_found()
    return model

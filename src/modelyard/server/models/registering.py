"""From bytes to a model: presign, and the registration that names what was uploaded."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from modelyard.server import changes
from modelyard.server.audit import operations as audit
from modelyard.server.database.base import new_id, now
from modelyard.server.database.session import Database, insert_row
from modelyard.server.models import content
from modelyard.server.models.healing import heal_claims, heal_rotten
from modelyard.server.models.holders import succession
from modelyard.server.models.holders.labels import label_set
from modelyard.server.models.listing.tags import add_tags
from modelyard.server.models.operations import may_change, trash_model
from modelyard.server.models.places import held_path, path_or_problem, path_taken
from modelyard.server.models.tables import ModelRow, searched_text
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import BlobStore, Digest, SignedRequest
from modelyard.server.storage.stored_bytes import StoredBytes
from modelyard.server.teams.acting import Acting, check_again
from modelyard.server.teams.operations import team_of
from modelyard.server.uploads import operations as uploads
from modelyard.server.uploads.discarding import Useless, discard
from modelyard.server.uploads.tables import BlobRow, UploadRow
from modelyard.wire import problems
from modelyard.wire.models import ModelNotes, NewModel
from modelyard.wire.paths import ModelPath
from modelyard.wire.teams import PicklePolicy
from modelyard.wire.uploads import UploadRequest

# The hashing thread follows the upload closely: by the time of registration it is done, or nearly so.
DIGEST_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class Registered:
    """The model's id, and whether this call made it."""

    id: UUID
    is_new: bool


@dataclass(frozen=True)
class _Bytes:
    """What the store and the checks say of an upload's bytes."""

    store_key: str
    size: int
    digest: Digest | None
    facts: dict[str, Any] = field(default_factory=dict)


def presign_upload(
    database: Database, store: BlobStore, acting: Acting, settings: Settings, new: UploadRequest
) -> tuple[uploads.OpenedUpload, SignedRequest]:
    """An upload for a file that may become a model at this path, and how to PUT it whole.

    Raises:
        ModelPathRefused: the path rule.
        ModelPathTaken: other bytes hold the path, which only a given hash can tell.
        QuotaExceeded, TooManyAttempts, StorageFull: see ``open_upload``.
    """
    path = path_or_problem(new.model_type, new.model_path)
    free_bytes = store.free_bytes()
    with database.writing(acting.team_id) as session:
        holder = held_path(session, acting.team_id, path)
        if holder is not None and holder.id != new.replaces and new.file_hash not in (None, holder.file_hash):
            raise path_taken(session, holder, path, new.file_hash)
        opened = uploads.open_upload(session, acting, settings, new, free_bytes)
    return opened, uploads.put_request(store, opened.upload)


def register_model(database: Database, store: BlobStore, acting: Acting, new: NewModel) -> Registered:
    """Name bytes that the team has uploaded; the same request again answers the same id.

    Bytes first, name last: nobody ever sees a model that they cannot pull.

    Raises:
        ModelPathRefused: the path rule.
        UploadNotFound: no upload of this team has this key.
        UploadIncomplete: fewer or more bytes than declared, at presign or here.
        NotAModelFile, HashMismatch: the content is not what it should be.
        ModelPathTaken: the team has other bytes at this path.
        UploadUsed: the key is a model already, and not this one.
        ModelNotFound, RoleTooLow: of ``replaces``.
    """
    path = path_or_problem(new.model_type, new.model_path)
    with database.reading() as session:
        upload = uploads.upload_by_key(session, acting.team_id, new.storage_key)
        if upload.registered_at is not None:
            return _registered_before(session, acting, upload, path, new)
        policy: PicklePolicy = "scan" if team_of(session, acting).pickle_policy == "scan" else "block"
        held = session.get(BlobRow, upload.blob_id) if upload.blob_id else None
    found = _held_bytes(held) if held else _arrived_bytes(store, upload, new)
    if not (found.size == upload.file_size == new.file_size):
        raise _incomplete(found.size, max(upload.file_size, new.file_size))
    facts = content.examine(StoredBytes(store, found.store_key, found.size), new.model_path, policy)
    found = replace(found, facts=asdict(facts))
    if found.digest is not None:
        _compare(found.digest.sha256, new)
    try:
        return _insert(database, acting, upload, path, new, found)
    except IntegrityError:
        # Somebody named the same path, or this very upload, between our look and our insert: a second look tells.
        with database.reading() as session:
            upload = uploads.upload_by_key(session, acting.team_id, new.storage_key)
            if upload.registered_at is not None:
                return _registered_before(session, acting, upload, path, new)
        return _insert(database, acting, upload, path, new, found)


def _registered_before(
    session: Session, acting: Acting, upload: UploadRow, path: ModelPath, new: NewModel
) -> Registered:
    """The model that has these bytes at this path, whichever upload brought them."""
    holder = held_path(session, acting.team_id, path)
    if holder is not None and holder.file_hash == new.file_hash:
        return Registered(holder.id, is_new=False)
    raise problems.UploadUsed("This upload is a model already. Ask for a new one.", model_id=str(upload.model_id))


def _held_bytes(held: BlobRow) -> _Bytes:
    """Bytes that the team held, verified, before this upload."""
    return _Bytes(held.store_key, held.size, Digest(held.sha256, held.blake3 or ""))


def _arrived_bytes(store: BlobStore, upload: UploadRow, new: NewModel) -> _Bytes:
    stored = store.stored(upload.storage_key)
    if stored is None:
        raise _incomplete(uploads.arrived_bytes(store, upload), new.file_size)
    digest = stored.digest or store.wait_digest(upload.storage_key, DIGEST_PATIENCE_SECONDS)
    return _Bytes(upload.storage_key, stored.size, digest)


def _incomplete(stored: int, declared: int) -> problems.UploadIncomplete:
    return problems.UploadIncomplete(
        f"The registry holds {stored} bytes of this upload; {declared} were declared.", stored=stored, declared=declared
    )


def _compare(sha256: str, new: NewModel) -> None:
    if f"sha256:{sha256}" != new.file_hash:
        message = f"The bytes have sha256:{sha256}, not {new.file_hash}."
        raise problems.HashMismatch(
            message,
            stored_hash=f"sha256:{sha256}",
            declared_hash=new.file_hash,
            errors=[{"field": "file_hash", "message": message}],
        )


def _insert(
    database: Database, acting: Acting, upload: UploadRow, path: ModelPath, new: NewModel, found: _Bytes
) -> Registered:
    """The transaction: everything that makes a model, or nothing."""
    with database.writing(acting.team_id) as session:
        check_again(session, acting)
        model_id = new_id()
        if new.replaces is not None:
            new = _inheriting(new, _make_room(session, acting, new, model_id))
        holder = held_path(session, acting.team_id, path)
        if holder is not None and holder.file_hash == new.file_hash:
            if holder.verification == "failed":
                _heal(session, acting, upload, holder, new, found)
            succession.hand_over(session, model_id, holder.id)
            succession.let_go(session, holder)
            return Registered(holder.id, is_new=False)
        if holder is not None:
            raise path_taken(session, holder, path, new.file_hash)

        blob = _blob_for(session, upload, new, found)
        model = {"id": model_id} | _model_values(acting, path, new, blob, found)
        arrived = _used(session, upload, blob, model_id)
        insert_row(session, ModelRow, **model)
        add_tags(session, model_id, acting.team_id, model["created_at"], new.tags)
        if blob.verification == "verified":
            succession.take_place(session, acting.team_id, path.key)
            succession.take_over(session, model_id)
            if arrived:
                heal_rotten(session, blob, acting.actor)
        changes.raise_revision(session, acting.team_id, models=1, stored_bytes=arrived)
        audited = new.model_dump(mode="json", include={"model_path", "file_hash", "replaces"}, exclude_none=True)
        audit.record(session, acting.actor, acting.team_id, "model.registered", model_id, **audited)
    return Registered(model_id, is_new=True)


def _heal(session: Session, acting: Acting, upload: UploadRow, damaged: ModelRow, new: NewModel, found: _Bytes) -> None:
    """Put these bytes behind every model whose own were found wrong or lost, and that claims this hash."""
    blob = _blob_for(session, upload, new, found)
    arrived = _used(session, upload, blob, damaged.id)
    heal_claims(session, blob, acting.actor, damaged.blob_id, {"storage_key": upload.storage_key, "facts": found.facts})
    if blob.verification == "verified":
        heal_rotten(session, blob, acting.actor)
    changes.raise_revision(session, acting.team_id, stored_bytes=arrived)


def _used(session: Session, upload: UploadRow, blob: BlobRow, model_id: UUID) -> int:
    """Mark the upload as this model's, and give how many bytes it brings that the team did not hold.

    Raises:
        UploadUsed: another request was first.
    """
    if not uploads.use_upload(session, upload, blob.id, model_id):
        raise problems.UploadUsed("This upload became a model just now.")
    if blob.store_key == upload.storage_key:
        return blob.size
    if upload.blob_id is None:
        discard(session, [Useless(upload.team_id, upload.storage_key)], now())
    return 0


def _inheriting(new: NewModel, replaced: ModelRow) -> NewModel:
    """The new model with what people said about the old one, where the request says nothing."""
    unsaid = (set(ModelNotes.model_fields) | {"tags", "required_labels"}) - new.model_fields_set
    return new.model_copy(update={name: getattr(replaced, name) for name in unsaid})


def _make_room(session: Session, acting: Acting, new: NewModel, successor: UUID) -> ModelRow:
    """The replaced model, in the trash; a repeated request finds it there, or finds these bytes under it."""
    replaced = session.get(ModelRow, new.replaces)
    if replaced is None or replaced.team_id != acting.team_id:
        raise problems.ModelNotFound("There is no such model to replace.", field="replaces")
    if replaced.deleted_at is None and replaced.file_hash != new.file_hash:
        may_change(acting, replaced)
        trash_model(session, replaced, successor)
        audit.record(
            session, acting.actor, acting.team_id, "model.replaced", replaced.id, model_path=replaced.model_path
        )
        changes.raise_revision(session, acting.team_id, models=-1)
    return replaced


def _blob_for(session: Session, upload: UploadRow, new: NewModel, found: _Bytes) -> BlobRow:
    """The team's blob for these bytes: a held one where the digest proves it, else a new one."""
    sha256 = new.file_hash.removeprefix("sha256:")
    if upload.blob_id is not None or found.digest is not None:
        held = uploads.held_blob(session, upload.team_id, sha256, new.file_size)
        if held is not None:
            held.unused_since = None
            return held
        if upload.blob_id is not None:
            # They rotted since the upload was told that they are here.
            raise _incomplete(0, new.file_size)
    return uploads.new_blob(session, upload, sha256, found.digest)


def _model_values(acting: Acting, path: ModelPath, new: NewModel, blob: BlobRow, found: _Bytes) -> dict[str, Any]:
    moment = now()
    return new.model_dump(exclude={"replaces"}) | {
        "team_id": acting.team_id,
        "path_key": path.key,
        "canonical_type": path.canonical_type,
        "blob_id": blob.id,
        "verification": blob.verification,
        "verified_at": blob.verified_at,
        "blake3_hash": blob.blake3_hash,
        "creator_kind": acting.creator.kind,
        "creator_id": acting.creator.id,
        "creator_name": acting.creator.name,
        "facts": found.facts,
        "label_set": label_set(new.required_labels),
        "searched": searched_text(new.display_name, new.model_path, new.tags),
        "created_at": moment,
        "updated_at": moment,
    }

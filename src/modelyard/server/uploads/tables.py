"""Tables of uploads, blobs (content that a team stores once), and discarded objects.

uploads.storage_key ── the key that presign returned, to which the client uploads
uploads.blob_id ────── the uploaded content, once it is registered
blobs.store_key ────── the object with the content: the key of the upload that brought it, or of a copy of it
discarded.store_key ── an object that can be removed: no other row uses it, or will
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, false, text
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import SORTED_TEXT, Row, new_id, now

PENDING = text("verification = 'pending'")
PENDING_ORDER = "team_id", "person_id", "tries", "created_at"
FAILED = text("verification = 'failed'")
RECHECK = text("recheck_since IS NOT NULL")
# As ``stored_version``: no object has it.
NO_VERSION = ""
# ``BlobRow.is_doubtful`` in SQL.
DOUBTFUL = text("verification = 'verified' AND recheck_since IS NOT NULL AND stored_version IS NOT NULL")
# The release of the inspection whose results are stored. Raised when it finds more in a file: files that were inspected
# by an older one are inspected again, see ``verification.reinspection``.
INSPECTION = 1
VERIFIED = text("verification = 'verified'")
# Also of content that was damaged later.
WAS_VERIFIED = text("verified_at IS NOT NULL")
# CRC-32 is the last hash to be computed, and every content has one.
UNHASHED = text("verification = 'verified' AND crc32 IS NULL")
UNINSPECTED = text(f"verification = 'verified' AND inspected_as < {INSPECTION}")


class BlobRow(Row):
    """The content of a file, stored once for a team; ``verification`` is pending, verified or failed."""

    __tablename__ = "blobs"
    # Not unique: two pending objects may declare the same hash, and only verification shows whether both are right.
    __table_args__ = (
        Index("ix_blobs_team_id_sha256", "team_id", "sha256"),
        Index("ix_blobs_team_id_size", "team_id", "size"),
        Index("ix_blobs_pending", *PENDING_ORDER, sqlite_where=PENDING, postgresql_where=PENDING),
        # A folder looks here for those of its files.
        Index("ix_blobs_failed", "team_id", sqlite_where=FAILED, postgresql_where=FAILED),
        Index("ix_blobs_verification_checked_at", "verification", "checked_at"),
        # Garbage collection reads it in pages, and marks very many with the same time.
        Index("ix_blobs_unused_since", "unused_since", "id"),
        Index("ix_blobs_recheck_since", "recheck_since", sqlite_where=RECHECK, postgresql_where=RECHECK),
        # One for each hash that models are found by; ``uploads.hashes`` reads ranges of them. Any number of uploads may
        # declare one SHA-256, and all other hashes are computed.
        Index(
            "ix_blobs_verified_sha256", "team_id", "sha256", sqlite_where=WAS_VERIFIED, postgresql_where=WAS_VERIFIED
        ),
        Index("ix_blobs_team_id_blake3", "team_id", "blake3"),
        Index("ix_blobs_team_id_autov1", "team_id", "autov1"),
        Index("ix_blobs_team_id_autov3", "team_id", "autov3"),
        Index("ix_blobs_team_id_crc32", "team_id", "crc32"),
        Index("ix_blobs_unhashed", "created_at", sqlite_where=UNHASHED, postgresql_where=UNHASHED),
        Index("ix_blobs_inspected_as", "inspected_as", "created_at", sqlite_where=VERIFIED, postgresql_where=VERIFIED),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    person_id: Mapped[UUID | None]  # ``Caller.person_id`` of who uploaded it; None if an older release stored it
    # Hashes are lower-case hex, sorted by code point so that an index finds those with the same first digits.
    sha256: Mapped[str] = mapped_column(SORTED_TEXT)  # as declared by the client until verified
    blake3: Mapped[str | None] = mapped_column(SORTED_TEXT)
    autov1: Mapped[str | None] = mapped_column(SORTED_TEXT)  # set at verification, except for files of up to 1 MiB
    autov3: Mapped[str | None] = mapped_column(SORTED_TEXT)  # set with ``crc32`` by ``verification.hash_completion``
    crc32: Mapped[str | None] = mapped_column(SORTED_TEXT)
    hash_retry_at: Mapped[datetime | None]  # computing ``autov3`` and ``crc32`` failed: not to be tried before
    inspected_as: Mapped[int] = mapped_column(default=INSPECTION, server_default="0")
    inspect_retry_at: Mapped[datetime | None]  # inspecting it again failed: not to be tried before
    size: Mapped[int]
    store_key: Mapped[str] = mapped_column(unique=True)
    verification: Mapped[str] = mapped_column(default="pending")
    verification_error: Mapped[str | None]
    lease: Mapped[UUID | None]  # the verification that may record its result; a new id each time
    leased_until: Mapped[datetime | None]  # without a lease: not to be verified before
    tries: Mapped[int] = mapped_column(
        default=0, server_default="0"
    )  # attempts in a row that had no result: the store did not answer, or the inspection failed
    checked_at: Mapped[datetime | None]
    verified_at: Mapped[datetime | None]  # for the first time; stays if the content is damaged later
    # ``StoredObject.version`` of the object at its last successful verification; None if an older release verified it,
    # ``NO_VERSION`` if a reader has found other bytes since.
    stored_version: Mapped[str | None]
    # The object has another version now, or other bytes: it is verified again, in the order of this time.
    recheck_since: Mapped[datetime | None]
    unused_since: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)

    @property
    def is_doubtful(self) -> bool:
        """Whether the object may have other bytes than the verified ones: it was changed, or a reader found others.

        It is served until the next verification has decided, but new bytes of the content are preferred to it. An
        object whose version an older release did not record is doubtful only if a reader has found other bytes. In SQL
        it is ``DOUBTFUL``.
        """
        return self.verification == "verified" and self.recheck_since is not None and self.stored_version is not None

    @property
    def blake3_hash(self) -> str | None:
        """The hash as in the API: ``blake3:`` and the hex digest; None before verification."""
        return f"blake3:{self.blake3}" if self.blake3 else None


class UploadRow(Row):
    """An upload of one file: what was declared, and its progress."""

    __tablename__ = "uploads"
    __table_args__ = (
        Index("ix_uploads_team_id_registered_at", "team_id", "registered_at"),
        Index("ix_uploads_registered_at_touched_at", "registered_at", "touched_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    person_id: Mapped[UUID | None]  # ``Caller.person_id`` of who began it
    storage_key: Mapped[str] = mapped_column(unique=True)
    file_name: Mapped[str]
    file_size: Mapped[int]
    file_hash: Mapped[str | None]
    creator_kind: Mapped[str]
    creator_id: Mapped[UUID | None]
    is_in_folder: Mapped[bool] = mapped_column(default=False, server_default=false())  # of a file of a folder model
    multipart_id: Mapped[str | None]
    part_size: Mapped[int | None]
    blob_id: Mapped[UUID | None] = mapped_column(ForeignKey("blobs.id"), index=True)
    # Not a foreign key: this package does not depend on models, and an upload can outlive its model.
    model_id: Mapped[UUID | None]
    registered_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    touched_at: Mapped[datetime] = mapped_column(default=now)
    aborted_at: Mapped[datetime | None]  # then it does not count as unfinished; None again once it is begun again


class DiscardedRow(Row):
    """An object, or one multipart upload of its key, that no row uses, so that it can be removed.

    Written in the transaction that removes the last use. Also written before the server itself writes an object to a
    key that no client can write to; that row is deleted in the transaction that uses the object, unless the removal
    has begun (``taken_at``).
    """

    __tablename__ = "discarded"
    # As of blobs.
    __table_args__ = (Index("ix_discarded_since", "since", "store_key", "multipart_id"),)

    store_key: Mapped[str] = mapped_column(primary_key=True)
    multipart_id: Mapped[str] = mapped_column(primary_key=True, default="")  # "" is the object itself
    team_id: Mapped[UUID]
    since: Mapped[datetime]  # in the future for an object that may still come into use
    taken_at: Mapped[datetime | None]  # when its removal began

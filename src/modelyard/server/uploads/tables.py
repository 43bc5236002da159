"""Uploads (the handle that a client quotes), blobs (bytes that a team holds once), and bytes that nobody needs.

uploads.storage_key ── what presign answered; PUT goes there
uploads.blob_id ────── the bytes behind the handle, once somebody registered them
blobs.store_key ────── where those bytes are: the key of the upload that brought them, or of a copy of it
discarded.store_key ── bytes that may go: no other row needs them, or will
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import Row, new_id, now

PENDING = text("verification = 'pending'")


class BlobRow(Row):
    """Bytes of one team. ``verification`` says whether the registry has read them and found what was claimed."""

    __tablename__ = "blobs"
    # Not unique: two unread objects may claim one hash, and only reading tells whether both are right.
    __table_args__ = (
        Index("ix_blobs_team_id_sha256", "team_id", "sha256"),
        Index("ix_blobs_team_id_size", "team_id", "size"),
        Index("ix_blobs_pending", "tries", "created_at", sqlite_where=PENDING, postgresql_where=PENDING),
        Index("ix_blobs_verification_checked_at", "verification", "checked_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    sha256: Mapped[str]  # the claim until verified, then the fact
    blake3: Mapped[str | None]
    size: Mapped[int]
    store_key: Mapped[str] = mapped_column(unique=True)
    verification: Mapped[str] = mapped_column(default="pending")
    verification_error: Mapped[str | None]
    lease: Mapped[UUID | None]  # the reading that may settle it; another one each time
    leased_until: Mapped[datetime | None]  # with no lease: not to be read before
    tries: Mapped[int] = mapped_column(default=0, server_default="0")  # in a row that the store did not answer
    checked_at: Mapped[datetime | None]
    verified_at: Mapped[datetime | None]  # first; kept when the bytes rot
    unused_since: Mapped[datetime | None] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)

    @property
    def blake3_hash(self) -> str | None:
        """As the API shows it: ``blake3:`` and the hex digest, once somebody has read the bytes."""
        return f"blake3:{self.blake3}" if self.blake3 else None


class UploadRow(Row):
    """A permission to bring one file, and how far it has come."""

    __tablename__ = "uploads"
    __table_args__ = (
        Index("ix_uploads_team_id_registered_at", "team_id", "registered_at"),
        Index("ix_uploads_registered_at_touched_at", "registered_at", "touched_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    storage_key: Mapped[str] = mapped_column(unique=True)
    file_name: Mapped[str]
    file_size: Mapped[int]
    file_hash: Mapped[str | None]
    creator_kind: Mapped[str]
    creator_id: Mapped[UUID | None]
    multipart_id: Mapped[str | None]
    part_size: Mapped[int | None]
    blob_id: Mapped[UUID | None] = mapped_column(ForeignKey("blobs.id"), index=True)
    # Not a foreign key: models stand above uploads, and an upload outlives its model's record.
    model_id: Mapped[UUID | None]
    registered_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    touched_at: Mapped[datetime] = mapped_column(default=now)


class DiscardedRow(Row):
    """Proof that what a key holds, or one multipart upload of it, is of no use to any row.

    Written in the transaction that makes it true; or before bytes come to a key that no client ever writes to, and
    then removed by whoever puts the key into use, which ends when somebody has taken the row to delete the bytes.
    """

    __tablename__ = "discarded"

    store_key: Mapped[str] = mapped_column(primary_key=True)
    multipart_id: Mapped[str] = mapped_column(primary_key=True, default="")  # "" is the object itself
    team_id: Mapped[UUID]
    since: Mapped[datetime] = mapped_column(index=True)  # in time to come, if they are useless unless used by then
    taken_at: Mapped[datetime | None]  # from now on they may be gone

"""The states of stored contents: each change of ``BlobRow.verification`` is made by ``set_content_state``."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from modelyard.server.database.base import now
from modelyard.server.database.session import announce
from modelyard.server.uploads.content_hashes import AUTOV1_START
from modelyard.server.uploads.tables import BlobRow

# Announced within this process when a blob is added to the verification queue.
BLOB_PENDING = "blob-pending"


@dataclass(frozen=True)
class Pending:
    """The content waits for verification."""


@dataclass(frozen=True)
class Verified:
    """The content was read and is right: the version of the object that was read, and hashes that were computed.

    A hash that is None is kept as it is; ``autov1`` is None for contents of up to 1 MiB only, or if it is stored.
    """

    version: str | None
    autov1: str | None
    blake3: str | None = None


@dataclass(frozen=True)
class Failed:
    """The content is wrong, or its object is damaged or missing; ``error`` says what was found."""

    error: str


ContentState = Pending | Verified | Failed


@dataclass(frozen=True)
class ObjectStateChanged:
    """Announced within this process when the object of a key was verified or has failed."""

    store_key: str
    is_failed: bool


def set_content_state(session: Session, blob: BlobRow, state: ContentState) -> None:
    """Set the state of a blob whose content was just checked or has to be checked, and announce it at commit.

    No other function sets states. ``verified_at`` stays that of the first time, also if the content fails later;
    pending content has none, and no lease. A request for a recheck is cleared. The versions that show the state are
    left to the caller.

    Raises:
        ValueError: verified content has no AutoV1 although it is larger than 1 MiB.
    """
    blob.recheck_since = None
    blob.verification_error = None
    if isinstance(state, Pending):
        blob.verification = "pending"
        blob.checked_at = blob.verified_at = blob.lease = blob.leased_until = None
        blob.tries = 0
        announce(session, BLOB_PENDING)
        return
    blob.checked_at = now()
    if isinstance(state, Failed):
        blob.verification, blob.verification_error = "failed", state.error
    else:
        _set_verified(blob, state)
    announce(session, ObjectStateChanged(blob.store_key, is_failed=isinstance(state, Failed)))


def _set_verified(blob: BlobRow, state: Verified) -> None:
    """Set the columns of a verified content; see ``set_content_state``.

    Raises:
        ValueError: see ``set_content_state``.
    """
    blob.verification = "verified"
    blob.verified_at = blob.verified_at or blob.checked_at
    blob.stored_version = state.version
    blob.blake3 = state.blake3 or blob.blake3
    blob.autov1 = state.autov1 or blob.autov1
    if blob.autov1 is None and blob.size > AUTOV1_START:
        raise ValueError("verified content of more than 1 MiB needs its AutoV1")

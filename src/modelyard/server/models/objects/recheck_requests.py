"""Requests to verify blobs again whose stored object was written after its verification."""

import threading
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import update

from modelyard.server.database.base import now
from modelyard.server.database.session import Database, execute_and_count, split_ids
from modelyard.server.uploads.tables import NO_VERSION, BlobRow

MAX_REQUESTS = 1000
# The time of a request whose result a user waits for: it comes before all others.
FIRST = datetime(2000, 1, 1, tzinfo=UTC)


class RecheckRequests:
    """The requests of one process's downloads, which a job writes to the database: none waits for the write lock.

    Nothing else may depend on them, since they come late, and requests beyond ``MAX_REQUESTS`` are dropped; the
    next download of the object adds its request again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[UUID, UUID] = {}

    def add(self, blob: BlobRow) -> None:
        """Request a new verification of the blob, unless ``blob`` says that one is recorded in the database already.

        Dropped if ``MAX_REQUESTS`` wait.
        """
        with self._lock:
            if blob.recheck_since is None and len(self._requests) < MAX_REQUESTS:
                self._requests[blob.id] = blob.team_id

    def flush(self, database: Database) -> None:
        """Write the requests to the database and clear them, also if that fails; the next download adds them again.

        Raises:
            Unavailable: the database does not answer.
        """
        with self._lock:
            requests, self._requests = self._requests, {}
        teams = defaultdict[UUID, list[UUID]](list)
        for blob_id, team in requests.items():
            teams[team].append(blob_id)
        for team, blob_ids in teams.items():
            request_rechecks(database, team, blob_ids)


def request_rechecks(database: Database, team_id: UUID, blob_ids: Sequence[UUID], *, goes_first: bool = False) -> None:
    """Write to the database that a team's verified blobs wait for a new verification; one keeps its earlier place.

    Raises:
        Unavailable: the database does not answer.
    """
    if not blob_ids:
        return
    since = FIRST if goes_first else now()
    is_later = BlobRow.recheck_since.is_(None) | (BlobRow.recheck_since > since)
    with database.writing(team_id) as session:
        for part in split_ids(sorted(blob_ids)):
            is_due = BlobRow.id.in_(part) & (BlobRow.verification == "verified") & is_later
            execute_and_count(session, update(BlobRow).where(is_due).values(recheck_since=since))


def record_wrong_bytes(database: Database, blob: BlobRow) -> None:
    """Mark a blob whose object was read with other bytes than the verified ones, so that it is verified again.

    The recorded version of the object is cleared, which makes the content doubtful. Does nothing if the blob is not
    verified or has another object by now.

    Raises:
        Unavailable: the database does not answer.
    """
    is_same_object = (BlobRow.id == blob.id) & (BlobRow.store_key == blob.store_key)
    is_same_object &= BlobRow.verification == "verified"
    with database.writing(blob.team_id) as session:
        values = {"recheck_since": now(), "stored_version": NO_VERSION}
        execute_and_count(session, update(BlobRow).where(is_same_object).values(values))

"""Requests to verify blobs again whose stored object was written after its verification, not yet in the database."""

import threading
from collections import defaultdict
from uuid import UUID

from sqlalchemy import update

from modelyard.server.database.base import now
from modelyard.server.database.session import Database, execute_and_count
from modelyard.server.uploads.tables import BlobRow

MAX_REQUESTS = 1000


class RecheckRequests:
    """The requests of one process, which a job writes to the database, so that no download waits for the write lock.

    Requests beyond ``MAX_REQUESTS`` are dropped; the next download of the object adds its request again.
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

    def has(self, blob: BlobRow) -> bool:
        """Return whether a request for the blob waits to be written to the database."""
        with self._lock:
            return blob.id in self._requests

    def flush(self, database: Database, team_id: UUID | None = None) -> None:
        """Write the requests, of one team or of all, to the database and clear them, also if that fails.

        The next download adds them again.

        Raises:
            Unavailable: the database does not answer.
        """
        with self._lock:
            requests = {blob: team for blob, team in self._requests.items() if team_id in (None, team)}
            self._requests = {blob: team for blob, team in self._requests.items() if blob not in requests}
        teams = defaultdict[UUID, list[UUID]](list)
        for blob_id, team in requests.items():
            teams[team].append(blob_id)
        for team, blob_ids in teams.items():
            unrecorded = (
                BlobRow.id.in_(blob_ids) & (BlobRow.verification == "verified") & BlobRow.recheck_since.is_(None)
            )
            with database.writing(team) as session:
                execute_and_count(session, update(BlobRow).where(unrecorded).values(recheck_since=now()))

"""The identity state of one server process: password hasher, attempt limiter, tokens and recent key use."""

import threading
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy import bindparam, or_, update

from modelyard.server.database.base import now
from modelyard.server.database.session import Database, get_table
from modelyard.server.identity.access_tokens import AccessTokens
from modelyard.server.identity.passwords import PasswordHasher
from modelyard.server.identity.preview_tokens import PreviewTokens
from modelyard.server.identity.rate_limit import FailedAttemptLimiter
from modelyard.server.identity.tables import CredentialRow

_keys = get_table(CredentialRow)
# Another server may have recorded a later use.
_UPDATE_LAST_USED = (
    update(_keys)
    .where(
        _keys.c.id == bindparam("key"),
        or_(_keys.c.last_used_at.is_(None), _keys.c.last_used_at < bindparam("moment")),
    )
    .values(last_used_at=bindparam("moment"))
)


class Identity:
    """The identity state of a process, stored as ``app.state.identity``. Tests pass a cheap password hasher."""

    def __init__(self, passwords: PasswordHasher | None = None) -> None:
        self.passwords = passwords or PasswordHasher()
        self.attempts = FailedAttemptLimiter()
        self.access_tokens = AccessTokens()
        self.preview_tokens = PreviewTokens()
        self._used_keys: dict[UUID, dict[UUID, datetime]] = {}
        self._lock = threading.Lock()

    def record_key_use(self, team_id: UUID, credential_id: UUID) -> None:
        """Note in memory that a key was used now, so that requests do not wait for a database write."""
        self._used_keys.setdefault(team_id, {})[credential_id] = now()

    def flush_last_used(self, database: Database) -> None:
        """Write the key uses since the last call to the database. Called every minute and when the process stops.

        They are lost if it fails.

        Raises:
            Unavailable: the database does not answer.
        """
        with self._lock:
            used, self._used_keys = self._used_keys, {}
        # Copied, since a request that read the old dictionaries before the swap may still add to them.
        for team_id, moments in list(used.items()):
            with database.writing(team_id) as session:
                session.connection().execute(
                    _UPDATE_LAST_USED, [{"key": key, "moment": at} for key, at in list(moments.items())]
                )


async def get_identity(request: Request) -> Identity:
    """Return the identity state of this process; async, so that no thread is needed for it."""
    identity: Identity = request.app.state.identity
    return identity


IdentityState = Annotated[Identity, Depends(get_identity)]

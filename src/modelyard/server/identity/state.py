"""What one server process remembers about identity: the hasher, the counted attempts, the secret, the keys it saw."""

import threading
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy import bindparam, or_, update

from modelyard.server.database.base import now
from modelyard.server.database.session import Database, table_of
from modelyard.server.identity.attempts import Attempts
from modelyard.server.identity.passwords import PasswordHasher
from modelyard.server.identity.tables import CredentialRow
from modelyard.server.identity.tokens import AccessTokens

_keys = table_of(CredentialRow)
# Another server may have seen the key later.
_USED = (
    update(_keys)
    .where(
        _keys.c.id == bindparam("key"),
        or_(_keys.c.last_used_at.is_(None), _keys.c.last_used_at < bindparam("moment")),
    )
    .values(last_used_at=bindparam("moment"))
)


class Identity:
    """One a process, as ``app.state.identity``. Tests pass a cheap hasher here and nowhere else."""

    def __init__(self, passwords: PasswordHasher | None = None, attempts: Attempts | None = None) -> None:
        self.passwords = passwords or PasswordHasher()
        self.attempts = attempts or Attempts()
        self.access_tokens = AccessTokens()
        self._used: dict[UUID, dict[UUID, datetime]] = {}
        self._lock = threading.Lock()

    def key_used(self, team_id: UUID, credential_id: UUID) -> None:
        """Remember that a key was just used. Memory only: a request never waits for the write lock because of this."""
        self._used.setdefault(team_id, {})[credential_id] = now()

    def flush_last_used(self, database: Database) -> None:
        """Write down which keys were used since the last call. Meant for once a minute and for the end."""
        with self._lock:
            used, self._used = self._used, {}
        # Copied, since a request that found these before they were swapped may add to them still.
        for team_id, moments in list(used.items()):
            with database.writing(team_id) as session:
                session.connection().execute(_USED, [{"key": key, "moment": at} for key, at in list(moments.items())])


async def open_identity(request: Request) -> Identity:
    identity: Identity = request.app.state.identity
    return identity


IdentityState = Annotated[Identity, Depends(open_identity)]

"""The key of a running agent, which ``modelyard agent pair`` may replace at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from modelyard.agent.registry.keys import AgentCredentials
from modelyard.client.profile import NoKey, ProfileUnreadable

if TYPE_CHECKING:
    from modelyard.client.api.auth import Refresh

ReadCredentials = Callable[[], AgentCredentials]


class CurrentKey:
    """A ``TokenSource`` that begins with the key of the start, and takes over another that is stored later.

    ``read`` returns the stored credentials for the same registry; blocking, and raises as
    ``AgentKeyStore.get_credentials``. Without it, the key stays.
    """

    def __init__(self, credentials: AgentCredentials, read: ReadCredentials | None = None) -> None:
        self._key, self._read = credentials.key, read

    async def get_token(self, refresh: Refresh) -> str:  # noqa: ARG002 - as the protocol says
        """Return the key."""
        return self._key

    async def replace_token(self, refused: str, refresh: Refresh) -> str | None:  # noqa: ARG002 - as the protocol says
        """Use another key that was stored meanwhile, and return it; None if the key in use is still ``refused``."""
        self._key = await self.find_other() or self._key
        return self._key if self._key != refused else None

    async def find_other(self) -> str | None:
        """Return the stored key if it is another one than that in use; None if not, or if it cannot be read."""
        if self._read is None:
            return None
        try:
            stored = await asyncio.to_thread(self._read)
        except (NoKey, ProfileUnreadable, OSError):
            return None
        return stored.key if stored.key != self._key else None

    def use(self, key: str) -> None:
        """Use this key from now on."""
        self._key = key

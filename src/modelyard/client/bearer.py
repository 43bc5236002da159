"""How a client proves who it is: with a key that lasts, or with a session that renews itself."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from modelyard.client.durable import locked
from modelyard.client.profile import Profile, ProfileFile
from modelyard.wire.accounts import Tokens
from modelyard.wire.problems import SessionEnded

Refresh = Callable[[str], Awaitable[Tokens]]

# A token this close to its end would be refused on the way.
_MARGIN = timedelta(seconds=30)
_LOCK_SECONDS = 30.0


class Bearer(Protocol):
    """Where the token of a request comes from."""

    async def token(self, refresh: Refresh) -> str: ...

    async def renewed(self, refused: str, refresh: Refresh) -> str | None:
        """Another token after the registry has refused this one, or None if there is no other."""
        ...


class Key:
    """A token that lasts until it is revoked: ``sk-``, ``dk-``, ``ak-``, or a session's access token on its own."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self, refresh: Refresh) -> str:  # noqa: ARG002 - as the protocol says
        return self._token

    async def renewed(self, refused: str, refresh: Refresh) -> str | None:  # noqa: ARG002 - as the protocol says
        return None


class Session:
    """A signed-in session kept in the profile file.

    A refresh token works once. So the exchange happens under a lock, on the newest pair that any program has
    written, and the new pair is on the disk before it is used.
    """

    def __init__(self, file: ProfileFile, profile: Profile) -> None:
        self._file = file
        self._profile = profile
        self._one_at_a_time = asyncio.Lock()

    async def token(self, refresh: Refresh) -> str:
        if self._ends_soon():
            await self.renewed(self._profile.token, refresh)
        return self._profile.token

    async def renewed(self, refused: str, refresh: Refresh) -> str | None:
        async with self._one_at_a_time, locked(self._file.lock, wait_seconds=_LOCK_SECONDS):
            saved = await asyncio.to_thread(self._file.find, self._profile.url)
            self._profile = self._profile if saved is None else saved
            if self._profile.token != refused and not self._ends_soon():
                return self._profile.token
            if self._profile.refresh_token is None:
                return None
            await self._exchange(self._profile.refresh_token, refresh)
            return self._profile.token

    async def _exchange(self, refresh_token: str, refresh: Refresh) -> None:
        tokens = await refresh(refresh_token)
        if tokens.refresh_token is None:
            raise SessionEnded("The registry gave no new refresh token. Sign in again.")
        self._profile = with_tokens(self._profile, tokens)
        await asyncio.to_thread(self._file.update, self._profile)

    def _ends_soon(self) -> bool:
        ends = self._profile.expires_at
        return ends is not None and datetime.now(UTC) > ends - _MARGIN


def with_tokens(profile: Profile, tokens: Tokens) -> Profile:
    """The profile with a fresh session."""
    ends = datetime.now(UTC) + timedelta(seconds=tokens.expires_in)
    return profile.model_copy(
        update={"token": tokens.access_token, "refresh_token": tokens.refresh_token, "expires_at": ends}
    )

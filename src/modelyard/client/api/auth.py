"""Sources of the bearer token of a client's requests: a fixed key, or a session that is refreshed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from modelyard.client.atomic_file import locked
from modelyard.client.profile import Profile, ProfileFile
from modelyard.wire.problems import SessionEnded

if TYPE_CHECKING:
    from modelyard.wire.accounts import Tokens

    Refresh = Callable[[str], Awaitable[Tokens]]

# A token that expires sooner could expire before the request arrives.
_MARGIN = timedelta(seconds=30)
_LOCK_SECONDS = 30.0


class TokenSource(Protocol):
    """A source of bearer tokens. ``refresh`` exchanges a refresh token for new tokens at the registry."""

    async def get_token(self, refresh: Refresh) -> str:
        """Return the token for the next request, refreshed first if it is about to expire. Raises as ``refresh``."""
        ...

    async def replace_token(self, refused: str, refresh: Refresh) -> str | None:
        """Return another token after the registry refused ``refused`` with 401; None if there is no other."""
        ...


class Key:
    """A fixed token: a key (``sk-``, ``dk-``, ``ak-``), or a session's access token without its refresh token."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def get_token(self, refresh: Refresh) -> str:  # noqa: ARG002 - as the protocol says
        return self._token

    async def replace_token(self, refused: str, refresh: Refresh) -> str | None:  # noqa: ARG002 - as the protocol says
        return None


class Session:
    """A signed-in session that is stored in the profile file.

    A refresh token works once. So the exchange happens under a lock file, with the newest tokens that any program has
    stored, and the new tokens are stored before they are used.
    """

    def __init__(self, file: ProfileFile, profile: Profile) -> None:
        self._file = file
        self._profile = profile
        self._refresh_lock = asyncio.Lock()

    async def get_token(self, refresh: Refresh) -> str:
        """Return the access token; refresh it first, as ``replace_token``, if it expires within 30 seconds.

        Without a refresh token it is returned although it expires.
        """
        if self._expires_soon():
            await self.replace_token(self._profile.token, refresh)
        return self._profile.token

    async def replace_token(self, refused: str, refresh: Refresh) -> str | None:
        """Return a token other than ``refused``: one that another program has stored meanwhile, or a refreshed one.

        Returns None if the session has no refresh token. Waits at most 30 seconds for the lock of another program, and
        goes on without it then.

        Raises:
            SessionEnded: see ``_refresh``.
            ProfileUnreadable: see ``ProfileFile.find``.
        """
        async with self._refresh_lock, locked(self._file.lock, wait_seconds=_LOCK_SECONDS):
            saved = await asyncio.to_thread(self._file.find, self._profile.url)
            self._profile = self._profile if saved is None else saved
            if self._profile.token != refused and not self._expires_soon():
                return self._profile.token
            if self._profile.refresh_token is None:
                return None
            await self._refresh(self._profile.refresh_token, refresh)
            return self._profile.token

    async def _refresh(self, refresh_token: str, refresh: Refresh) -> None:
        """Exchange the refresh token for new tokens and store them in the profile file; the caller holds the lock.

        Raises:
            SessionEnded: the registry refused the refresh token, or returned no new one.
        """
        tokens = await refresh(refresh_token)
        if tokens.refresh_token is None:
            raise SessionEnded("The registry returned no new refresh token. Sign in again.")
        self._profile = build_session_profile(self._profile, tokens)
        await asyncio.to_thread(self._file.update, self._profile)

    def _expires_soon(self) -> bool:
        """Return whether the token expires within 30 seconds, or has expired; False if its expiry is unknown."""
        expires_at = self._profile.expires_at
        return expires_at is not None and datetime.now(UTC) > expires_at - _MARGIN


def build_session_profile(profile: Profile, tokens: Tokens) -> Profile:
    """Return a copy of the profile with these tokens, which expire ``expires_in`` seconds from now."""
    expires_at = datetime.now(UTC) + timedelta(seconds=tokens.expires_in)
    return profile.model_copy(
        update={"token": tokens.access_token, "refresh_token": tokens.refresh_token, "expires_at": expires_at}
    )

"""The calls of a registry about accounts, sessions and passwords."""

from uuid import UUID

from modelyard.client.api.calls.channel import ChannelCalls
from modelyard.client.api.http import Call
from modelyard.client.api.paging import Paging
from modelyard.client.api.urls import build_path
from modelyard.wire import accounts
from modelyard.wire.schemas import Done, Updated

_START = Paging()


class AccountCalls(ChannelCalls):
    """The methods of ``RegistryApi`` about accounts, sessions and passwords; they raise the same."""

    async def log_in(self, login: accounts.Login) -> accounts.Tokens:
        return await self._channel.request(accounts.Tokens, Call("POST", "/auth/login", login, anonymous=True))

    async def refresh(self, refresh: accounts.Refresh) -> accounts.Tokens:
        return await self._channel.request(accounts.Tokens, Call("POST", "/auth/refresh", refresh, anonymous=True))

    async def log_out(self, logout: accounts.Logout) -> None:
        await self._channel.send(Call("POST", "/auth/logout", logout, anonymous=True))

    async def me(self) -> accounts.Me:
        """Return the signed-in user, with their teams and roles."""
        return await self._get(accounts.Me, "/users/me")

    async def update_me(self, change: accounts.ProfileUpdate) -> Updated:
        """Change the signed-in user's names."""
        return await self._channel.request(Updated, Call("PUT", "/users/me", change, repeatable=True))

    async def list_sessions(self, paging: Paging = _START) -> accounts.AccountSessionList:
        """Return one page of the user's sessions that have not ended, newest first."""
        return await self._get(accounts.AccountSessionList, "/users/me/sessions", paging.build_query())

    async def end_session(self, session_id: UUID) -> None:
        """End one of the user's sessions, with its access tokens."""
        await self._channel.send(Call("DELETE", build_path("users", "me", "sessions", session_id), repeatable=True))

    async def change_password(self, change: accounts.PasswordChange) -> Done:
        return await self._channel.request(Done, Call("PUT", "/users/me/password", change))

    async def reset_password(self, reset: accounts.PasswordReset) -> Done:
        """Set a new password with the token of the operator's one-time link, without signing in."""
        return await self._channel.request(Done, Call("POST", "/auth/password-reset", reset, anonymous=True))

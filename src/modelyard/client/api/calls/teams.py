"""The calls of a registry about the team, its members, invitations and audit events."""

from uuid import UUID

from modelyard.client.api.calls.channel import ChannelCalls
from modelyard.client.api.filters import AuditFilter
from modelyard.client.api.http import Call
from modelyard.client.api.paging import Paging
from modelyard.client.api.urls import build_path
from modelyard.wire import teams
from modelyard.wire.schemas import Created, Done, Updated

_START = Paging()


class TeamCalls(ChannelCalls):
    """The methods of ``RegistryApi`` about the team, its members, invitations and audit events; they raise the same."""

    async def create_team(self, new: teams.NewTeam) -> Created:
        return await self._post(Created, "/teams", new)

    async def current_team(self) -> teams.Team:
        return await self._get(teams.Team, "/teams/current")

    async def update_team(self, change: teams.TeamUpdate) -> Updated:
        return await self._channel.request(Updated, Call("PUT", "/teams/current", change, repeatable=True))

    async def delete_team(self) -> None:
        await self._channel.send(Call("DELETE", "/teams/current"))

    async def transfer_team(self, transfer: teams.Transfer) -> Done:
        """Make another member the owner of the current team."""
        return await self._post(Done, "/teams/current/transfer", transfer)

    async def list_members(self, paging: Paging = _START) -> teams.MemberList:
        return await self._get(teams.MemberList, "/members", paging.build_query())

    async def change_role(
        self, user_id: UUID, change: teams.RoleChange, *, keys_to: UUID | None = None, stop_keys: bool = False
    ) -> Done:
        """Change a member's role; their keys go to the admin ``keys_to``, or are revoked with ``stop_keys``.

        Raises:
            KeysWouldStop: neither is given, and keys of the member require an admin.
        """
        query = _build_keys_query(keys_to, stop_keys=stop_keys)
        return await self._channel.request(
            Done, Call("PUT", build_path("members", user_id), change, query, repeatable=True)
        )

    async def remove_member(self, user_id: UUID, *, keys_to: UUID | None = None, stop_keys: bool = False) -> None:
        """Remove a member from the team; ``keys_to`` and ``stop_keys`` are as in ``change_role``."""
        query = _build_keys_query(keys_to, stop_keys=stop_keys)
        await self._channel.send(Call("DELETE", build_path("members", user_id), query=query))

    async def create_invitation(self, new: teams.NewInvitation) -> teams.CreatedInvitation:
        return await self._post(teams.CreatedInvitation, "/invitations", new)

    async def list_invitations(self, paging: Paging = _START) -> teams.InvitationList:
        return await self._get(teams.InvitationList, "/invitations", paging.build_query())

    async def delete_invitation(self, invitation_id: UUID) -> None:
        await self._channel.send(Call("DELETE", build_path("invitations", invitation_id)))

    async def preview_invitation(self, token: teams.InvitationToken) -> teams.InvitationPreview:
        return await self._post(teams.InvitationPreview, "/invitations/preview", token)

    async def accept_invitation(self, acceptance: teams.Acceptance) -> Done:
        """Join a team as the signed-in user, or with a new account if this client has no token."""
        return await self._post(Done, "/invitations/accept", acceptance)

    async def list_audit_events(self, audit_filter: AuditFilter, paging: Paging = _START) -> teams.AuditEventList:
        return await self._get(teams.AuditEventList, "/audit-events", audit_filter.build_query() | paging.build_query())


def _build_keys_query(keys_to: UUID | None, *, stop_keys: bool) -> dict[str, str]:
    """Return the query parameters that hand a member's keys to another admin, or revoke them; empty for neither."""
    new_owner = {} if keys_to is None else {"keys_to": str(keys_to)}
    return new_owner | ({"keys": "stop"} if stop_keys else {})

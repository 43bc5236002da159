"""One method a route: shapes in, shapes out, and problems raised as the registry raised them."""

from dataclasses import dataclass
from types import TracebackType
from typing import Self
from uuid import UUID

from pydantic import BaseModel

from modelyard.client.bearer import Bearer, Key
from modelyard.client.channel import DEFAULT_PATIENCE_SECONDS, UNCHANGED, Call, Channel, Shape
from modelyard.client.filters import AgentFilter, AuditFilter, ModelFilter
from modelyard.client.paging import Paging
from modelyard.wire import accounts, agents, credentials, models, teams, uploads
from modelyard.wire.shapes import Created, Done, Updated

_START = Paging()


@dataclass(frozen=True)
class KnownManifest:
    """A manifest, and the ETag to ask with for a newer one."""

    manifest: agents.Manifest
    etag: str


class Registry:
    """A registry over HTTP, for one caller in one team; an async context manager.

    ``token`` is a key, a session's access token, or a ``Bearer`` that renews itself; without one, only the calls
    that need none work. ``team`` is the id for ``X-Team-ID``: sessions need it, keys carry their own.
    Calls that are safe to repeat are repeated for ``patience_seconds`` when the registry does not answer.
    """

    def __init__(
        self,
        url: str,
        token: str | Bearer | None = None,
        team: UUID | str | None = None,
        *,
        patience_seconds: float = DEFAULT_PATIENCE_SECONDS,
    ) -> None:
        bearer = Key(token) if isinstance(token, str) else token
        self.team = None if team is None else str(team)
        self._channel = Channel(url, bearer, self.team, patience_seconds)

    @property
    def url(self) -> str:
        return self._channel.url

    async def __aenter__(self) -> Self:
        await self._channel.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.__aexit__(kind, error, trace)

    async def log_in(self, login: accounts.Login) -> accounts.Tokens:
        return await self._channel.ask(accounts.Tokens, Call("POST", "/auth/login", login, anonymous=True))

    async def refresh(self, refresh: accounts.Refresh) -> accounts.Tokens:
        return await self._channel.ask(accounts.Tokens, Call("POST", "/auth/refresh", refresh, anonymous=True))

    async def log_out(self, logout: accounts.Logout) -> None:
        await self._channel.send(Call("POST", "/auth/logout", logout, anonymous=True))

    async def me(self) -> accounts.Me:
        return await self._get(accounts.Me, "/users/me")

    async def change_password(self, change: accounts.PasswordChange) -> Done:
        return await self._channel.ask(Done, Call("PUT", "/users/me/password", change))

    async def reset_password(self, reset: accounts.PasswordReset) -> Done:
        """With the token of the operator's one-time link."""
        return await self._channel.ask(Done, Call("POST", "/auth/password-reset", reset, anonymous=True))

    async def start_pairing(self) -> credentials.PairingStarted:
        return await self._channel.ask(credentials.PairingStarted, Call("POST", "/desktop/pair/start", anonymous=True))

    async def poll_pairing(self, poll: credentials.PairingPoll) -> credentials.PairingAnswer:
        return await self._channel.ask(
            credentials.PairingAnswer, Call("POST", "/desktop/pair/poll", poll, anonymous=True)
        )

    async def confirm_pairing(self, confirmation: credentials.PairingConfirmation) -> Done:
        return await self._post(Done, "/desktop/pair/confirm", confirmation)

    async def revoke_device(self) -> Done:
        return await self._post(Done, "/auth/device/revoke")

    async def create_team(self, new: teams.NewTeam) -> Created:
        return await self._post(Created, "/teams", new)

    async def current_team(self) -> teams.Team:
        return await self._get(teams.Team, "/teams/current")

    async def update_team(self, change: teams.TeamChange) -> Updated:
        return await self._channel.ask(Updated, Call("PUT", "/teams/current", change, repeatable=True))

    async def delete_team(self) -> None:
        await self._channel.send(Call("DELETE", "/teams/current"))

    async def transfer_team(self, transfer: teams.Transfer) -> Done:
        return await self._post(Done, "/teams/current/transfer", transfer)

    async def list_members(self, paging: Paging = _START) -> teams.MemberList:
        return await self._get(teams.MemberList, "/members", paging.query())

    async def change_role(self, user_id: UUID, change: teams.RoleChange) -> Done:
        return await self._channel.ask(Done, Call("PUT", f"/members/{user_id}", change, repeatable=True))

    async def remove_member(self, user_id: UUID) -> None:
        await self._channel.send(Call("DELETE", f"/members/{user_id}"))

    async def create_invitation(self, new: teams.NewInvitation) -> teams.InvitationMade:
        return await self._post(teams.InvitationMade, "/invitations", new)

    async def list_invitations(self, paging: Paging = _START) -> teams.InvitationList:
        return await self._get(teams.InvitationList, "/invitations", paging.query())

    async def delete_invitation(self, invitation_id: UUID) -> None:
        await self._channel.send(Call("DELETE", f"/invitations/{invitation_id}"))

    async def preview_invitation(self, token: teams.InvitationToken) -> teams.InvitationPreview:
        return await self._post(teams.InvitationPreview, "/invitations/preview", token)

    async def accept_invitation(self, acceptance: teams.Acceptance) -> Done:
        """As the signed-in user, or without a token for a new account."""
        return await self._post(Done, "/invitations/accept", acceptance)

    async def create_credential(self, new: credentials.NewCredential) -> credentials.CredentialMade:
        return await self._post(credentials.CredentialMade, "/credentials", new)

    async def list_credentials(self, paging: Paging = _START, *, kind: str | None = None) -> credentials.CredentialList:
        query = paging.query() | ({} if kind is None else {"kind": kind})
        return await self._get(credentials.CredentialList, "/credentials", query)

    async def revoke_credential(self, credential_id: UUID) -> None:
        await self._channel.send(Call("DELETE", f"/credentials/{credential_id}"))

    async def list_audit_events(self, wanted: AuditFilter, paging: Paging = _START) -> teams.AuditEventList:
        return await self._get(teams.AuditEventList, "/audit-events", wanted.query() | paging.query())

    async def presign_upload(self, request: uploads.UploadRequest) -> uploads.UploadTicket:
        return await self._post(uploads.UploadTicket, "/models/presign", request, repeatable=True)

    async def start_multipart(self, request: uploads.MultipartRequest) -> uploads.MultipartStarted:
        return await self._post(uploads.MultipartStarted, "/uploads/multipart/initiate", request, repeatable=True)

    async def presign_parts(self, request: uploads.PartsRequest) -> uploads.PartTickets:
        return await self._post(uploads.PartTickets, "/uploads/multipart/presign", request, repeatable=True)

    async def list_parts(self, multipart: uploads.Multipart) -> uploads.StoredParts:
        query = {"storage_key": multipart.storage_key, "upload_id": multipart.upload_id}
        return await self._get(uploads.StoredParts, "/uploads/multipart/parts", query)

    async def complete_multipart(self, completion: uploads.MultipartCompletion) -> Done:
        return await self._post(Done, "/uploads/multipart/complete", completion, repeatable=True)

    async def abort_multipart(self, multipart: uploads.Multipart) -> None:
        await self._channel.send(Call("POST", "/uploads/multipart/abort", multipart, repeatable=True))

    async def create_model(self, new: models.NewModel) -> Created:
        """The id of the new model, or of the one that this same request has made before."""
        return await self._post(Created, "/models", new, repeatable=True)

    async def list_models(self, wanted: ModelFilter | None = None, paging: Paging = _START) -> models.ModelList:
        return await self._get(models.ModelList, "/models", (wanted or ModelFilter()).query() | paging.query())

    async def get_model(self, model_id: UUID) -> models.Model:
        return await self._get(models.Model, f"/models/{model_id}")

    async def update_model(self, model_id: UUID, change: models.ModelChange) -> Updated:
        return await self._channel.ask(Updated, Call("PUT", f"/models/{model_id}", change, repeatable=True))

    async def delete_model(self, model_id: UUID) -> None:
        await self._channel.send(Call("DELETE", f"/models/{model_id}"))

    async def restore_model(self, model_id: UUID) -> None:
        await self._channel.send(Call("POST", f"/models/{model_id}/restore"))

    async def download_ticket(self, model_id: UUID) -> models.DownloadTicket:
        return await self._get(models.DownloadTicket, f"/models/{model_id}/download", {"redirect": "false"})

    async def list_agents(self, wanted: AgentFilter | None = None, paging: Paging = _START) -> agents.AgentList:
        return await self._get(agents.AgentList, "/agents", (wanted or AgentFilter()).query() | paging.query())

    async def list_models_on(
        self, agent_id: str, paging: Paging = _START, *, state: agents.ModelState | None = None
    ) -> agents.AgentModelList:
        query = paging.query() | ({} if state is None else {"state": state})
        return await self._get(agents.AgentModelList, f"/agents/{agent_id}/models", query)

    async def list_agents_of(self, model_id: UUID, paging: Paging = _START) -> agents.AgentModelList:
        return await self._get(agents.AgentModelList, f"/models/{model_id}/agents", paging.query())

    async def update_agent(self, agent_id: str, change: agents.AgentChange) -> Done:
        return await self._channel.ask(Done, Call("PUT", f"/agents/{agent_id}", change, repeatable=True))

    async def approve_removal(self, agent_id: str) -> Done:
        return await self._post(Done, f"/agents/{agent_id}/approve-removal", repeatable=True)

    async def sync_agent(self, agent_id: str) -> Done:
        return await self._post(Done, f"/agents/{agent_id}/sync", repeatable=True)

    async def forget_agent(self, agent_id: str) -> None:
        await self._channel.send(Call("DELETE", f"/agents/{agent_id}"))

    async def send_heartbeat(self, heartbeat: agents.Heartbeat) -> agents.HeartbeatAnswer:
        """Repeated as it is: a report that came twice is one."""
        return await self._post(agents.HeartbeatAnswer, "/agent/heartbeat", heartbeat, repeatable=True)

    async def get_manifest(self, agent_id: str, *, etag: str | None = None, wait: int = 0) -> KnownManifest | None:
        """What the machine should hold; None if that is what ``etag`` names, or the registry has something else to say.

        With ``wait`` the registry answers as soon as it is not, or after so many seconds.
        """
        query = {"agent_id": agent_id, "wait": str(wait)}
        call = Call("GET", "/agent/manifest", query=query, repeatable=True, known_etag=etag)
        response = await self._channel.send(call)
        if response.status_code == UNCHANGED:
            return None
        etag = response.headers.get("ETag", "")
        # What cannot be sent back is no tag.
        return KnownManifest(self._channel.read(agents.Manifest, response), etag if etag.isascii() else "")

    async def _get(self, shape: type[Shape], path: str, query: dict[str, str] | None = None) -> Shape:
        return await self._channel.ask(shape, Call("GET", path, query=query or {}, repeatable=True))

    async def _post(
        self, shape: type[Shape], path: str, body: BaseModel | None = None, *, repeatable: bool = False
    ) -> Shape:
        return await self._channel.ask(shape, Call("POST", path, body, repeatable=repeatable))

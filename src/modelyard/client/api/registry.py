"""The client of a registry: a method for each route except ``GET /api/v1/agent-states``, with wire types."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self
from uuid import UUID

from pydantic import BaseModel

from modelyard.client.api.auth import Key, TokenSource
from modelyard.client.api.filters import AgentFilter, AuditFilter
from modelyard.client.api.http import DEFAULT_RETRY_SECONDS, UNCHANGED, Call, HttpChannel, RetryOptions, Shape
from modelyard.client.api.manifests import ReceivedManifest, read_manifest
from modelyard.client.api.paging import Paging
from modelyard.transfer.errors import Unreachable
from modelyard.wire import accounts, agents, credentials, hashes, models, problems, teams, uploads, versions
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.schemas import Created, Done, Updated

_START = Paging()


@dataclass(frozen=True)
class KnownManifest:
    """A manifest and its ETag, with which a newer one is requested; empty if the registry sent no usable ETag."""

    manifest: ReceivedManifest
    etag: str


class Registry:
    """A client of a registry for one caller in one team; an async context manager.

    ``token`` is a key, a session's access token, or a ``TokenSource`` that refreshes it; without one, only calls that
    need no authentication work. ``team`` is the id for ``X-Team-ID``: sessions need it, keys belong to a team already.
    Idempotent calls are retried for ``retry_seconds`` while the registry does not answer; ``notify`` gets a sentence
    at intervals meanwhile. All methods raise ``Problem``, ``Unreachable`` and ``BadResponse`` as ``HttpChannel``.
    """

    def __init__(
        self,
        url: str,
        token: str | TokenSource | None = None,
        team: UUID | str | None = None,
        *,
        retry_seconds: float = DEFAULT_RETRY_SECONDS,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        source = Key(token) if isinstance(token, str) else token
        self.team = None if team is None else str(team)
        self._channel = HttpChannel(url, source, self.team, RetryOptions(retry_seconds, notify))

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
        return await self._channel.request(accounts.Tokens, Call("POST", "/auth/login", login, anonymous=True))

    async def refresh(self, refresh: accounts.Refresh) -> accounts.Tokens:
        return await self._channel.request(accounts.Tokens, Call("POST", "/auth/refresh", refresh, anonymous=True))

    async def log_out(self, logout: accounts.Logout) -> None:
        await self._channel.send(Call("POST", "/auth/logout", logout, anonymous=True))

    async def me(self) -> accounts.Me:
        """Return the signed-in user, with their teams and roles."""
        return await self._get(accounts.Me, "/users/me")

    async def change_password(self, change: accounts.PasswordChange) -> Done:
        return await self._channel.request(Done, Call("PUT", "/users/me/password", change))

    async def reset_password(self, reset: accounts.PasswordReset) -> Done:
        """Set a new password with the token of the operator's one-time link, without signing in."""
        return await self._channel.request(Done, Call("POST", "/auth/password-reset", reset, anonymous=True))

    async def start_pairing(self) -> credentials.PairingStarted:
        """Start to pair this machine: return a code for a person to confirm, and a device code to poll with."""
        return await self._channel.request(
            credentials.PairingStarted, Call("POST", "/desktop/pair/start", anonymous=True)
        )

    async def poll_pairing(self, poll: credentials.PairingPoll) -> credentials.PairingState:
        """Return whether the pairing is confirmed, with this machine's keys the first time that it is.

        Not retried: a lost response with keys cannot be had again.
        """
        return await self._channel.request(
            credentials.PairingState, Call("POST", "/desktop/pair/poll", poll, anonymous=True)
        )

    async def confirm_pairing(self, confirmation: credentials.PairingConfirmation) -> Done:
        """Confirm the code that another machine shows; it gets keys of the caller's current team."""
        return await self._post(Done, "/desktop/pair/confirm", confirmation)

    async def revoke_device(self) -> Done:
        """Revoke the device key that this client uses."""
        return await self._post(Done, "/auth/device/revoke")

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
        return await self._channel.request(Done, Call("PUT", f"/members/{user_id}", change, query, repeatable=True))

    async def remove_member(self, user_id: UUID, *, keys_to: UUID | None = None, stop_keys: bool = False) -> None:
        """Remove a member from the team; ``keys_to`` and ``stop_keys`` are as in ``change_role``."""
        query = _build_keys_query(keys_to, stop_keys=stop_keys)
        await self._channel.send(Call("DELETE", f"/members/{user_id}", query=query))

    async def create_invitation(self, new: teams.NewInvitation) -> teams.CreatedInvitation:
        return await self._post(teams.CreatedInvitation, "/invitations", new)

    async def list_invitations(self, paging: Paging = _START) -> teams.InvitationList:
        return await self._get(teams.InvitationList, "/invitations", paging.build_query())

    async def delete_invitation(self, invitation_id: UUID) -> None:
        await self._channel.send(Call("DELETE", f"/invitations/{invitation_id}"))

    async def preview_invitation(self, token: teams.InvitationToken) -> teams.InvitationPreview:
        return await self._post(teams.InvitationPreview, "/invitations/preview", token)

    async def accept_invitation(self, acceptance: teams.Acceptance) -> Done:
        """Join a team as the signed-in user, or with a new account if this client has no token."""
        return await self._post(Done, "/invitations/accept", acceptance)

    async def create_credential(self, new: credentials.NewCredential) -> credentials.CreatedCredential:
        return await self._post(credentials.CreatedCredential, "/credentials", new)

    async def list_credentials(self, paging: Paging = _START, *, kind: str | None = None) -> credentials.CredentialList:
        query = paging.build_query() | ({} if kind is None else {"kind": kind})
        return await self._get(credentials.CredentialList, "/credentials", query)

    async def rotate_credential(
        self, credential_id: UUID, rotation: credentials.Rotation
    ) -> credentials.RotatedCredential:
        """Replace the secret of a key and return the new one; the old one works for ``rotation.grace_hours``."""
        return await self._post(credentials.RotatedCredential, f"/credentials/{credential_id}/rotate", rotation)

    async def revoke_credential(self, credential_id: UUID) -> None:
        await self._channel.send(Call("DELETE", f"/credentials/{credential_id}"))

    async def list_audit_events(self, audit_filter: AuditFilter, paging: Paging = _START) -> teams.AuditEventList:
        return await self._get(teams.AuditEventList, "/audit-events", audit_filter.build_query() | paging.build_query())

    async def presign_upload(self, request: uploads.UploadRequest) -> uploads.UploadTicket:
        return await self._post(uploads.UploadTicket, "/models/presign", request, repeatable=True)

    async def start_multipart(self, request: uploads.MultipartRequest) -> uploads.MultipartStarted:
        return await self._post(uploads.MultipartStarted, "/uploads/multipart/initiate", request, repeatable=True)

    async def presign_parts(self, request: uploads.PartsRequest) -> uploads.PartTickets:
        """Return presigned URLs for parts of an upload. Raises as ``_request_urls``."""
        return await self._request_urls(uploads.PartTickets, Call("POST", "/uploads/multipart/presign", request))

    async def list_parts(self, multipart: uploads.Multipart) -> uploads.StoredParts:
        query = {"storage_key": multipart.storage_key, "upload_id": multipart.upload_id}
        return await self._get(uploads.StoredParts, "/uploads/multipart/parts", query)

    async def complete_multipart(self, completion: uploads.MultipartCompletion) -> Done:
        return await self._post(Done, "/uploads/multipart/complete", completion, repeatable=True)

    async def abort_multipart(self, multipart: uploads.Multipart) -> None:
        await self._channel.send(Call("POST", "/uploads/multipart/abort", multipart, repeatable=True))

    async def create_model(self, new: models.NewModel) -> Created:
        """Register an uploaded file and return the model's id; a repeated request returns the same id."""
        return await self._post(Created, "/models", new, repeatable=True)

    async def list_models(self, model_filter: ModelFilter | None = None, paging: Paging = _START) -> models.ModelList:
        """Return one page of the models that match the filter."""
        return await self._get(
            models.ModelList, "/models", (model_filter or ModelFilter()).build_query() | paging.build_query()
        )

    async def get_model(self, model_id: UUID) -> models.Model:
        return await self._get(models.Model, f"/models/{model_id}")

    async def look_up_models(self, lookup: hashes.ModelLookup) -> hashes.LookupResult:
        """Return the models that up to 1,000 hashes and paths mean."""
        return await self._post(hashes.LookupResult, "/models/lookup", lookup, repeatable=True)

    async def get_model_hashes(self, model_id: UUID) -> hashes.ModelHashes:
        """Return the known hashes of a model's content, and those that its file claims."""
        return await self._get(hashes.ModelHashes, f"/models/{model_id}/hashes")

    async def update_model(self, model_id: UUID, change: models.ModelUpdate) -> Updated:
        return await self._channel.request(Updated, Call("PUT", f"/models/{model_id}", change, repeatable=True))

    async def delete_model(self, model_id: UUID) -> None:
        await self._channel.send(Call("DELETE", f"/models/{model_id}"))

    async def restore_model(self, model_id: UUID) -> None:
        await self._channel.send(Call("POST", f"/models/{model_id}/restore"))

    async def download_ticket(self, model_id: UUID, version: int | None = None) -> models.DownloadTicket:
        """Return a presigned URL for the file of a version, by default the current one. Raises as ``_request_urls``."""
        query = {"redirect": "false"} | ({} if version is None else {"version": str(version)})
        return await self._request_urls(models.DownloadTicket, Call("GET", f"/models/{model_id}/download", query=query))

    async def list_versions(
        self, model_id: UUID, paging: Paging = _START, *, deleted: bool = False
    ) -> versions.VersionList:
        """Return one page of a model's versions, newest first; with ``deleted``, of those in the trash."""
        query = paging.build_query() | ({"deleted": "true"} if deleted else {})
        return await self._get(versions.VersionList, f"/models/{model_id}/versions", query)

    async def get_version(self, model_id: UUID, number: int) -> versions.ModelVersion:
        return await self._get(versions.ModelVersion, f"/models/{model_id}/versions/{number}")

    async def update_version(self, model_id: UUID, number: int, change: versions.VersionUpdate) -> Updated:
        path = f"/models/{model_id}/versions/{number}"
        return await self._channel.request(Updated, Call("PUT", path, change, repeatable=True))

    async def activate_version(self, model_id: UUID, number: int) -> Done:
        """Make a verified version the current one, which machines get."""
        return await self._post(Done, f"/models/{model_id}/versions/{number}/activate", repeatable=True)

    async def delete_version(self, model_id: UUID, number: int) -> None:
        """Move a version to the trash."""
        await self._channel.send(Call("DELETE", f"/models/{model_id}/versions/{number}"))

    async def restore_version(self, model_id: UUID, number: int) -> Done:
        """Restore a version from the trash."""
        return await self._post(Done, f"/models/{model_id}/versions/{number}/restore")

    async def list_agents(self, agent_filter: AgentFilter | None = None, paging: Paging = _START) -> agents.AgentList:
        """Return one page of the machines that match the filter."""
        return await self._get(
            agents.AgentList, "/agents", (agent_filter or AgentFilter()).build_query() | paging.build_query()
        )

    async def list_models_on(
        self, agent_id: str, paging: Paging = _START, *, state: agents.ModelState | None = None
    ) -> agents.AgentModelList:
        """Return one page of the models that a machine should hold, with their states; optionally of one state."""
        query = paging.build_query() | ({} if state is None else {"state": state})
        return await self._get(agents.AgentModelList, f"/agents/{agent_id}/models", query)

    async def list_agents_of(self, model_id: UUID, paging: Paging = _START) -> agents.AgentModelList:
        """Return one page of the states of a model on the machines that should hold it."""
        return await self._get(agents.AgentModelList, f"/models/{model_id}/agents", paging.build_query())

    async def update_agent(self, agent_id: str, change: agents.AgentUpdate) -> Done:
        return await self._channel.request(Done, Call("PUT", f"/agents/{agent_id}", change, repeatable=True))

    async def approve_removal(self, agent_id: str) -> Done:
        """Approve the removals that a machine has reported as held back by its removal limit."""
        return await self._post(Done, f"/agents/{agent_id}/approve-removal", repeatable=True)

    async def sync_agent(self, agent_id: str) -> Done:
        """Make a machine sync at its next heartbeat."""
        return await self._post(Done, f"/agents/{agent_id}/sync", repeatable=True)

    async def delete_agent(self, agent_id: str) -> None:
        """Remove a machine from the registry's list; its files stay, and its next heartbeat adds it again."""
        await self._channel.send(Call("DELETE", f"/agents/{agent_id}"))

    async def send_heartbeat(self, heartbeat: agents.Heartbeat) -> agents.HeartbeatResponse:
        """Report this machine's state and return the registry's instructions; idempotent, so it is retried."""
        return await self._post(agents.HeartbeatResponse, "/agent/heartbeat", heartbeat, repeatable=True)

    async def get_manifest(self, agent_id: str, *, etag: str | None = None, wait: int = 0) -> KnownManifest | None:
        """Return a machine's manifest of desired models; None if it still has this ETag.

        With ``wait`` (long polling) the registry answers an unchanged manifest after so many seconds, or earlier if it
        has instructions for the machine's next heartbeat; the result is None in both cases.
        """
        query = {"agent_id": agent_id, "wait": str(wait)}
        call = Call("GET", "/agent/manifest", query=query, repeatable=True, known_etag=etag)
        response = await self._channel.send(call)
        if response.status_code == UNCHANGED:
            return None
        etag = response.headers.get("ETag", "")
        # A non-ASCII ETag could not be sent in If-None-Match.
        return KnownManifest(self._channel.parse_with(read_manifest, response), etag if etag.isascii() else "")

    async def _request_urls(self, shape: type[Shape], call: Call) -> Shape:
        """Request presigned URLs for a transfer, with retries for at most 4 seconds.

        The transfer itself repeats requests that fail, reports it, and decides when to give up.

        Raises:
            Unreachable: the registry did not respond, or responded that it is unavailable.
        """
        try:
            return await self._channel.request(
                shape, replace(call, repeatable=True, max_retry_seconds=DEFAULT_RETRY_SECONDS)
            )
        except problems.Unavailable as problem:
            raise Unreachable(f"{self.url} cannot answer now: {problem}") from None

    async def _get(self, shape: type[Shape], path: str, query: dict[str, str] | None = None) -> Shape:
        """Send a GET, which is retried, and parse the response."""
        return await self._channel.request(shape, Call("GET", path, query=query or {}, repeatable=True))

    async def _post(
        self, shape: type[Shape], path: str, body: BaseModel | None = None, *, repeatable: bool = False
    ) -> Shape:
        """Send a POST with an optional body, and parse the response."""
        return await self._channel.request(shape, Call("POST", path, body, repeatable=repeatable))


def _build_keys_query(keys_to: UUID | None, *, stop_keys: bool) -> dict[str, str]:
    """Return the query parameters that hand a member's keys to another admin, or revoke them; empty for neither."""
    new_owner = {} if keys_to is None else {"keys_to": str(keys_to)}
    return new_owner | ({"keys": "stop"} if stop_keys else {})

"""The state of an agent's connection to its registry, the calls it makes, and the meaning of refusals."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from modelyard.agent.registry.names import find_name_of_key, find_other_user
from modelyard.agent.state_folder import ConnectionState
from modelyard.client.api.download_urls import DownloadCalls
from modelyard.client.api.manifests import ReceivedManifest
from modelyard.sync.folder_sources import FileListCalls
from modelyard.sync.retry_advice import omit_retry_advice
from modelyard.transfer.errors import TransferFailed
from modelyard.wire.agents.heartbeats import Heartbeat, HeartbeatResponse
from modelyard.wire.problems import AgentTaken, KeyNotAllowed, NotAMember, Problem, Unauthenticated
from modelyard.wire.versions import PreviewFormat

# Responses to a revoked key, and to a machine that uses the name of another machine.
REFUSALS = (Unauthenticated, NotAMember, KeyNotAllowed, AgentTaken)
# How long the registry may hold a long poll for the manifest.
LONG_POLL_SECONDS = 50
# A refused key may become valid again, for example when the team is restored.
REFUSED_RETRY_SECONDS = 60.0


class ManifestResponse(Protocol):
    """A manifest and its ETag."""

    @property
    def manifest(self) -> ReceivedManifest:
        """The manifest."""

    @property
    def etag(self) -> str:
        """Its ETag, to request only a later manifest."""


class RegistryCalls(DownloadCalls, FileListCalls, Protocol):
    """The API calls of an agent; ``client.api.registry.RegistryApi`` implements them."""

    @property
    def url(self) -> str:
        """The registry's address."""

    async def send_heartbeat(self, heartbeat: Heartbeat) -> HeartbeatResponse:
        """Send a heartbeat and return the response."""

    async def get_manifest(
        self, agent_id: str, *, etag: str | None = None, wait: int = 0, with_previews: bool = False
    ) -> ManifestResponse | None:
        """Return the manifest; None if it still has the given ETag after ``wait`` seconds.

        With ``with_previews``, its entries name the pictures of the models.
        """

    async def get_picture(self, sha256: str, *, image_format: PreviewFormat = "webp") -> bytes:
        """Return the larger preview picture with this hash."""


@dataclass
class RegistryConnection:
    """The connection's state. In ``lost``, running transfers go on; ``refused`` ends all of them."""

    state: ConnectionState = "connecting"
    reason: str | None = None
    since: datetime | None = None  # when it got into this state; None before the first outcome
    failure: Problem | TransferFailed | None = None  # that led to this state; None after a success
    retry_at: datetime | None = None  # of the next request for the manifest after a failed one

    @property
    def is_revoked(self) -> bool:
        """Whether the registry does not know the key at all, rather than denying it something."""
        return isinstance(self.failure, Unauthenticated)

    @property
    def is_up(self) -> bool:
        """Whether the last recorded outcome is a success; False before the first."""
        return self.state == "connected"

    def record_success(self) -> bool:
        """Record a successful response and clear the failure; return whether the connection was not up before."""
        self.reason = self.failure = self.retry_at = None
        return self._set_state("connected")

    def record_failure(self, failure: Problem | TransferFailed) -> bool:
        """Record a failed request; return whether that changed the state.

        One of ``REFUSALS`` refuses the connection, any other failure loses it. A refused connection stays refused until
        a success.
        """
        is_refusal = isinstance(failure, REFUSALS)
        if self.state == "refused" and not is_refusal:
            return False  # a refusal holds until the registry answers otherwise
        self.reason = _describe_refused_connection(failure) if is_refusal else omit_retry_advice(str(failure))
        self.failure = failure
        return self._set_state("refused" if is_refusal else "lost")

    def record_retry(self, wait: float) -> None:
        """Record that the agent asks again after ``wait`` seconds, or sooner if something else gets an answer."""
        self.retry_at = datetime.now(UTC) + timedelta(seconds=wait)

    def record_stop(self) -> None:
        """Record that the agent has ended the connection; the reason of an earlier failure stays."""
        self.retry_at = None
        self._set_state("stopped")

    def _set_state(self, state: ConnectionState) -> bool:
        """Set the state, and the time if it is another one; return whether it is."""
        if state == self.state:
            return False
        self.state, self.since = state, datetime.now(UTC)
        return True


def _describe_refused_connection(failure: Problem | TransferFailed) -> str:
    """Return the reason of a refused connection with its remedy, which a name that is taken has in its own text."""
    reason = f"{describe_refusal(failure)} Nothing is downloaded or removed."
    if isinstance(failure, AgentTaken):
        return reason
    pair_again = "air the machine again (modelyard agent pair)"
    if find_other_user(failure) is not None:
        return (
            f"{reason} To keep both, stop this agent, p{pair_again}, and give it another name (modelyard agent run"
            f" --agent-id NAME, or install it again with --agent-id NAME). If the other one is gone, p{pair_again}."
        )
    if (own_name := find_name_of_key(failure)) is not None:
        return (
            f"{reason} Use the name of the key (modelyard agent run --agent-id {own_name}), or stop this agent,"
            f" p{pair_again}, and run it with a name that no other machine has (modelyard agent run --agent-id NAME)."
        )
    return f"{reason} P{pair_again}, or give it another key."


def describe_refusal(failure: Problem | TransferFailed) -> str:
    """Return why the registry refuses this machine; ``failure`` is one of ``REFUSALS``.

    The registry's own text for an unknown key is not used, because it asks a person to sign in.
    """
    if (name := find_other_user(failure)) is not None:
        return (
            f"The registry refuses this machine: its key was revoked, and a machine with another key uses its name,"
            f" '{name}'."
        )
    if isinstance(failure, Unauthenticated):
        return "The registry refuses this machine: its key was revoked, or belongs to another registry."
    return f"The registry refuses this machine: {failure}"

"""The agent and its registry: whether they are in touch, as whom, and what a refusal means."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from modelyard.agent.status import LinkState
from modelyard.transfer.failures import TransferFailed
from modelyard.wire.agents import Heartbeat, HeartbeatAnswer, Manifest
from modelyard.wire.models import DownloadTicket
from modelyard.wire.problems import AgentTaken, KeyNotAllowed, NotAMember, Problem, Unauthenticated

# What the registry says to a key that was revoked, or to a machine that calls itself what another is called.
SHUT_OUT = (Unauthenticated, NotAMember, KeyNotAllowed, AgentTaken)
# How long a question for the manifest may rest at the registry.
LISTEN_SECONDS = 50
# A refused key may be let in again: the team was restored, say.
REFUSED_RETRY = 60.0


class Fresh(Protocol):
    """A manifest and its ETag."""

    @property
    def manifest(self) -> Manifest: ...

    @property
    def etag(self) -> str: ...


class RegistryCalls(Protocol):
    """What an agent asks of a registry; ``client.registry.Registry`` is one."""

    @property
    def url(self) -> str: ...

    async def send_heartbeat(self, heartbeat: Heartbeat) -> HeartbeatAnswer: ...

    async def get_manifest(self, agent_id: str, *, etag: str | None = None, wait: int = 0) -> Fresh | None: ...

    async def download_ticket(self, model_id: UUID) -> DownloadTicket: ...


@dataclass
class Link:
    """The state of the connection. ``lost`` costs nothing but freshness; ``refused`` ends all transfers."""

    state: LinkState = "connecting"
    reason: str | None = None
    is_revoked: bool = False  # the registry does not know the key, rather than not allowing something to it

    @property
    def is_up(self) -> bool:
        return self.state == "connected"

    def answered(self) -> bool:
        """The registry answered as it should; whether that is news."""
        is_news, self.state, self.reason, self.is_revoked = not self.is_up, "connected", None, False
        return is_news

    def failed(self, failure: Problem | TransferFailed) -> bool:
        """It did not; whether that is news."""
        is_refusal = isinstance(failure, SHUT_OUT)
        if self.state == "refused" and not is_refusal:
            return False  # what it said last holds until it says something else
        before = self.state
        self.state = "refused" if is_refusal else "lost"
        self.reason = _refused(failure) if is_refusal else str(failure)
        self.is_revoked = isinstance(failure, Unauthenticated)
        return before != self.state


def _refused(failure: Problem | TransferFailed) -> str:
    return (
        f"The registry refuses this machine: {failure} Nothing is fetched or removed. Pair the machine again"
        " (modelyard agent pair), or give it another key."
    )

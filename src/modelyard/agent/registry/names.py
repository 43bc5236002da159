"""Whether a machine's name is used with another key, as far as its registry says."""

from typing import Literal

from modelyard.client.api.registry import RegistryApi
from modelyard.transfer.errors import TransferFailed
from modelyard.wire.problems import AgentUnknown, KeyNotAllowed, Problem, Unauthenticated

# By the key in question, by another one, or not known.
NameUse = Literal["own", "other", "unknown"]


async def find_name_use(registry: RegistryApi, agent_id: str) -> NameUse:
    """Return whether this name is that of a machine which uses the registry's key, or another key, with one request."""
    try:
        await registry.get_manifest(agent_id)
    except (Problem, TransferFailed) as failure:
        return "unknown" if find_other_user(failure) is None else "other"
    return "own"


def find_other_user(failure: Exception) -> str | None:
    """Return the machine's name if the registry has refused a request because that is used with another key."""
    name = failure.facts.get("agent_id") if isinstance(failure, Unauthenticated | AgentUnknown) else None
    return name if isinstance(name, str) else None


def find_name_of_key(failure: Exception) -> str | None:
    """Return the name that the key belongs to, if the registry has refused it for a machine with another name."""
    name = failure.facts.get("agent_id") if isinstance(failure, KeyNotAllowed) else None
    return name if isinstance(name, str) else None

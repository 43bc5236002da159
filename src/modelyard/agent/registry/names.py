"""Whether a machine's name is used with another key, as far as its registry says."""

from typing import NamedTuple

from modelyard.client.api.registry import RegistryApi
from modelyard.transfer.errors import TransferFailed
from modelyard.wire.problems import AgentUnknown, KeyNotAllowed, Problem, Unauthenticated


class NameUse(NamedTuple):
    """Whether a machine has its name in the registry itself, and the name of its own that is used with another key."""

    is_own: bool
    other: str | None = None


async def find_name_use(registry: RegistryApi, agent_id: str, *, has_run: bool) -> NameUse:
    """Ask the registry once how the machine with its key may have a name.

    ``has_run`` says that it has run with that name: then it has the name as long as nothing says otherwise.
    """
    try:
        await registry.get_manifest(agent_id)
    except (Problem, TransferFailed) as failure:
        other = find_other_user(failure)
        is_denied = other is not None or isinstance(failure, AgentUnknown | KeyNotAllowed)
        return NameUse(has_run and not is_denied, other)
    return NameUse(is_own=True)


def find_other_user(failure: Exception) -> str | None:
    """Return the machine's name if the registry has refused a request because that is used with another key."""
    name = failure.facts.get("agent_id") if isinstance(failure, Unauthenticated | AgentUnknown) else None
    return name if isinstance(name, str) else None


def find_name_of_key(failure: Exception) -> str | None:
    """Return the name that the key belongs to, if the registry has refused it for a machine with another name."""
    name = failure.facts.get("agent_id") if isinstance(failure, KeyNotAllowed) else None
    return name if isinstance(name, str) else None

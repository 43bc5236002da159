"""Filters of the lists of audit events and machines, and their query parameters."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class AuditFilter:
    """A filter for a list of audit events; times as in RFC 3339. A field that is None filters nothing."""

    action: str | None = None
    object_id: str | None = None
    actor_id: str | None = None
    since: str | None = None
    until: str | None = None

    def build_query(self) -> dict[str, str]:
        """Return the query parameters for the fields that are not None."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class AgentFilter:
    """A filter for a list of machines; a field that is None filters nothing."""

    label: str | None = None
    agent_status: str | None = None
    machine_state: str | None = None

    def build_query(self) -> dict[str, str]:
        """Return the query parameters for the fields that are not None."""
        return {name: value for name, value in asdict(self).items() if value is not None}

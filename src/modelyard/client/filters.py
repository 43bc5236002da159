"""What lists of the registry can be narrowed down to."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class ModelFilter:
    """Which models a list shows, and in which order; None filters nothing."""

    q: str | None = None
    model_type: str | None = None
    model_status: str | None = None
    verification: str | None = None
    tag: str | None = None
    file_hash: str | None = None
    missing_on: str | None = None
    deleted: bool | None = None
    sort: str | None = None

    def query(self) -> dict[str, str]:
        set_ones = {name: value for name, value in asdict(self).items() if value is not None}
        return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in set_ones.items()}


@dataclass(frozen=True)
class AuditFilter:
    """Which events of the audit trail a list shows; times as RFC 3339."""

    action: str | None = None
    object_id: str | None = None
    actor_id: str | None = None
    since: str | None = None
    until: str | None = None

    def query(self) -> dict[str, str]:
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class AgentFilter:
    """Which machines a list shows."""

    label: str | None = None
    agent_status: str | None = None

    def query(self) -> dict[str, str]:
        return {name: value for name, value in asdict(self).items() if value is not None}

"""The models that this machine has evicted, and since when others are desired here; kept in a file."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from modelyard.client.atomic_file import write_private_file


class _Stored(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    evicted_at: dict[UUID, AwareDatetime] = Field(default_factory=dict)
    desired_since: dict[UUID, AwareDatetime] = Field(default_factory=dict)


@dataclass(frozen=True)
class EvictionLog:
    """When models were evicted, and since when the others are desired: a model that was never used is not the oldest.

    Immutable, so that it is saved before it takes effect.
    """

    evicted_at: dict[UUID, datetime] = field(default_factory=dict)
    desired_since: dict[UUID, datetime] = field(default_factory=dict)

    def keep_only(self, ids: Iterable[UUID]) -> "EvictionLog":
        """Return the log without models that are not desired any more: if they come back, they are fetched."""
        known = set(ids)
        return EvictionLog(
            {model_id: moment for model_id, moment in self.evicted_at.items() if model_id in known},
            {model_id: moment for model_id, moment in self.desired_since.items() if model_id in known},
        )

    def bring_back(self, ids: Iterable[UUID], now: datetime) -> "EvictionLog":
        """Return the log in which these models are not evicted; those that were are desired from now on."""
        returned = self.evicted_at.keys() & set(ids)
        return EvictionLog(
            {model_id: moment for model_id, moment in self.evicted_at.items() if model_id not in returned},
            self.desired_since | dict.fromkeys(returned, now),
        )


def read_eviction_log(file: Path) -> EvictionLog:
    """Return the log in a file; an empty one if it is missing or damaged. Blocking."""
    try:
        stored = _Stored.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return EvictionLog()
    return EvictionLog(dict(stored.evicted_at), dict(stored.desired_since))


def write_eviction_log(file: Path, log: EvictionLog) -> None:
    """Write the log durably and atomically. Blocking.

    Raises:
        OSError: the folder cannot be written.
    """
    document = {
        "evicted_at": {str(model_id): moment.isoformat() for model_id, moment in log.evicted_at.items()},
        "desired_since": {str(model_id): moment.isoformat() for model_id, moment in log.desired_since.items()},
    }
    write_private_file(file, json.dumps(document))

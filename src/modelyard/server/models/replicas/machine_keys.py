"""The keys that machines used last: their names, and why the registry refuses one, in words for people."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, not_, select
from sqlalchemy.orm import Session

from modelyard.server.database.base import now
from modelyard.server.database.session import get_table
from modelyard.server.identity.authentication import has_authorized_creator, is_valid
from modelyard.server.identity.tables import CredentialRow
from modelyard.server.models.replicas.tables import AgentRow

_agents, _keys = get_table(AgentRow), get_table(CredentialRow)
_COLUMNS = (
    *(_agents.c.number, _agents.c.agent_id, _keys.c.is_paired, _keys.c.revoked_at, _keys.c.expires_at),
    has_authorized_creator.label("has_authorized_creator"),
)


class MachineKey(NamedTuple):
    """The name and the first characters of a machine's key, as ``modelyard key ls`` shows them."""

    display_name: str
    key_prefix: str


def load_machine_keys(session: Session, numbers: Collection[int]) -> dict[int, MachineKey]:
    """Return for each machine, by its number, the key that it used last."""
    query = (
        select(_agents.c.number, _keys.c.display_name, _keys.c.key_prefix)
        .join_from(_agents, _keys, _keys.c.id == _agents.c.credential_id)
        .where(_agents.c.number.in_(numbers))
    )
    return {number: MachineKey(*key) for number, *key in session.connection().execute(query)}


def load_key_refusals(session: Session, numbers: Collection[int] | Select[int]) -> dict[int, str]:
    """Return for each machine whose last key is refused now, by its number, why that is, and what to do.

    ``numbers`` may be a query for the machines' numbers.
    """
    query = (
        select(*_COLUMNS)
        .join_from(_agents, _keys, _keys.c.id == _agents.c.credential_id)
        .where(_agents.c.number.in_(numbers), not_(is_valid))
    )
    moment = now()
    rows = session.connection().execute(query, {"moment": moment})
    return {row.number: _describe_refusal(row, moment) for row in rows}


def _describe_refusal(row: Row[*tuple[Any, ...]], moment: datetime) -> str:
    """Return why a key is refused, and what to do on the machine, or in the registry for a key of an admin."""
    has_ended = row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= moment)
    end = "Its key was revoked." if row.revoked_at is not None else "Its key has expired."
    if row.is_paired:
        reason = end if row.has_authorized_creator else "The person whose key it used has left the team."
        return f"{reason} Pair it again, on the machine: modelyard agent pair"
    if has_ended:
        return f"{end} Give it another one: modelyard key create {row.agent_id} --kind agent"
    return (
        "The person who is responsible for its key is no admin any more. An admin can make the key work again:"
        " modelyard key rotate KEY"
    )

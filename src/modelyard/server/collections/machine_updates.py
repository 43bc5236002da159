"""Update what machines get by their subscriptions: the rows of ``assignments``, which everything else reads.

Called while the team's write lock is held: for a machine whose labels change, in the same transaction; for a change of
collections, see ``due_machines``. A new machine has no labels and no subscriptions at first.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.collections.subscribed_models import (
    Versions,
    decide_pins,
    load_entries,
    load_sizes,
    load_versions,
)
from modelyard.server.database.session import IDS_AT_ONCE
from modelyard.server.models.replicas.pins import Pin, build_pin_set
from modelyard.server.models.replicas.subscribed import AssignmentChange, apply_changes, decide_changes, load_assigned
from modelyard.server.models.replicas.tables import AgentRow

Changes = Mapping[AssignmentChange, Mapping[UUID, int]]


@dataclass(frozen=True)
class MostRows:
    """How many assignments are read and written at most; at least those of one machine."""

    read: int
    written: int


class _Group(NamedTuple):
    """What machines have in common that get the same models and count in the same way."""

    label_set: str
    versions: Versions


def update_machine(session: Session, agent: AgentRow) -> None:
    """Update what a machine gets by subscription; delete the states of what it should not hold any more.

    If anything changes, the team gets a new revision. The machine is not due any more.
    """
    session.flush()
    _update(session, [agent], load_versions(session, agent.team_id, [agent]))


def update_first_machines(session: Session, agents: Sequence[AgentRow], most: MostRows) -> list[AgentRow]:
    """Update the first of these machines as ``update_machine``, as many as ``most`` allows, and return the others.

    They are of one team, and sorted by number. Flushes the session.
    """
    session.flush()
    # As many as a statement can name.
    first = agents[:IDS_AT_ONCE]
    if not first:
        return []
    versions = load_versions(session, first[0].team_id, first)
    sizes = load_sizes(session, versions, most.read + 1)
    total = accumulate(sizes[agent.number] for agent in first)
    count = max(1, sum(each <= most.read for each in total))
    updated = _update(session, first[:count], versions, sizes, most.written)
    return [agent for agent in agents if agent.number not in updated]


def _update(
    session: Session,
    agents: Sequence[AgentRow],
    versions: Mapping[int, Versions],
    sizes: Mapping[int, int] | None = None,
    most: int = 0,
) -> set[int]:
    """Give machines the models of the versions of collections that each gets; return the numbers of those that have.

    With the ``sizes`` of what each has before and after, at most so many rows are written, or those of one machine.
    """
    groups = _group(agents, versions)
    entries = load_entries(session, sorted({collection_id for group in groups for collection_id, _ in group.versions}))
    updated, rows = set[int](), 0
    for group, members in groups.items():
        wanted = decide_pins(entry for each in group.versions for entry in entries.get(each, ()))
        left = most - rows
        if sizes is None or sum(sizes[agent.number] for agent in members) <= left:
            chosen: Sequence[AgentRow] = members
            changes = _decide(session, chosen, wanted)
        elif rows and sizes[members[0].number] > left:
            break
        else:
            chosen, changes = _decide_first(session, members, wanted, left)
        _apply(session, chosen, changes, build_pin_set(wanted))
        updated |= {agent.number for agent in chosen}
        rows += _count_rows(changes)
        if len(chosen) < len(members):
            break
    if rows:
        revisions.increment_revision(session, agents[0].team_id)
    return updated


def _group(agents: Iterable[AgentRow], versions: Mapping[int, Versions]) -> dict[_Group, list[AgentRow]]:
    """Return machines by what they have in common. Pure."""
    groups = defaultdict[_Group, list[AgentRow]](list)
    for agent in agents:
        groups[_Group(agent.label_set, versions[agent.number])].append(agent)
    return groups


def _decide(session: Session, agents: Sequence[AgentRow], wanted: Mapping[UUID, Pin]) -> Changes:
    """Return what changes for machines that should get exactly these models by subscription."""
    return decide_changes(load_assigned(session, [agent.number for agent in agents]), wanted, len(agents))


def _decide_first(
    session: Session, agents: Sequence[AgentRow], wanted: Mapping[UUID, Pin], most: int
) -> tuple[Sequence[AgentRow], Changes]:
    """Return the first of these machines whose changes are at most so many rows, at least one, with the changes."""
    # Machines that get the same models mostly have the same before.
    of_first = _count_rows(_decide(session, agents[:1], wanted))
    chosen = agents[: max(1, most // max(1, of_first))]
    changes = _decide(session, chosen, wanted)
    if _count_rows(changes) > most:
        # A machine has one change of a model at most.
        models = {model_id for of_change in changes.values() for model_id in of_change}
        chosen = agents[: max(1, most // len(models))]
        changes = _decide(session, chosen, wanted)
    return chosen, changes


def _count_rows(changes: Changes) -> int:
    """Return how many assignments change."""
    return sum(sum(models.values()) for models in changes.values())


def _apply(session: Session, agents: Sequence[AgentRow], changes: Changes, pin_set: str) -> None:
    """Write the changes of machines with equal label sets, which are not due any more."""
    if changes:
        apply_changes(session, agents, changes)
    for agent in agents:
        agent.subscriptions_due = False
        if changes:
            agent.pin_set = pin_set

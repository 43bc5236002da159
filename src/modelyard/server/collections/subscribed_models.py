"""Which models machines should get by their subscriptions: labels and machines, versions, and what is pinned."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.collections.tables import (
    CollectionEntryRow,
    CollectionRow,
    CollectionVersionRow,
    SubscriptionRow,
)
from modelyard.server.database.session import split_ids
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.server.models.replicas.pins import Pin
from modelyard.server.models.replicas.subscribed import count_assigned
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.teams.context import TeamContext

# Of more than so many versions, a conflict names the first.
_MAX_NAMED = 3
# The versions of collections that a machine gets, in the order of the collections.
Versions = tuple[tuple[UUID, int], ...]


@dataclass(frozen=True)
class SubscribedEntry:
    """A model of a collection to which a machine is subscribed."""

    model_id: UUID
    version: int
    collection_name: str
    is_pinned: bool


@dataclass(frozen=True)
class SubscriptionTargets:
    """The labels and the machines that are subscribed to a collection, sorted."""

    labels: list[str]
    agent_ids: list[str]


class _Subscriptions(NamedTuple):
    """The collections of a team that are subscribed, by label and by the number of a machine."""

    by_label: Mapping[str, Sequence[UUID]]
    by_agent: Mapping[int, Sequence[UUID]]

    def list_collections_of(self, agent: AgentRow) -> list[UUID]:
        """Return the collections that a machine is subscribed to, sorted: equal machines have equal texts."""
        by_labels = (self.by_label.get(label, ()) for label in agent.collection_label_set.split())
        return sorted({*self.by_agent.get(agent.number, ()), *chain.from_iterable(by_labels)})


def list_subscription_targets(session: Session, collection_id: UUID) -> SubscriptionTargets:
    """Return the labels and the machines that are subscribed to a collection."""
    rows = session.execute(
        select(SubscriptionRow.label, AgentRow.agent_id)
        .outerjoin(AgentRow, AgentRow.number == SubscriptionRow.agent_number)
        .where(SubscriptionRow.collection_id == collection_id)
    ).all()
    return SubscriptionTargets(
        labels=sorted(row.label for row in rows if row.label is not None),
        agent_ids=sorted(row.agent_id for row in rows if row.agent_id is not None),
    )


def record_ended_subscriptions(session: Session, team: TeamContext, agent: AgentRow) -> None:
    """Record in the audit log that the own subscriptions of a machine end, which is about to be deleted."""
    rows = session.execute(
        select(CollectionRow.id, CollectionRow.name)
        .join(SubscriptionRow, SubscriptionRow.collection_id == CollectionRow.id)
        .where(SubscriptionRow.agent_number == agent.number)
        .order_by(CollectionRow.id)
    )
    for collection_id, name in rows.all():
        facts = {"name": name, "agent_id": agent.agent_id}
        audit.record(session, team.actor, team.team_id, "collection.unsubscribed", collection_id, **facts)


def list_subscribed_agents(session: Session, collection: CollectionRow) -> list[AgentRow]:
    """Return the machines that are subscribed to a collection, themselves or by a label."""
    columns = SubscriptionRow.label, SubscriptionRow.agent_number
    rows = session.execute(select(*columns).where(SubscriptionRow.collection_id == collection.id)).all()
    labels, numbers = {row.label for row in rows} - {None}, {row.agent_number for row in rows}
    if not rows:
        return []
    agents = session.scalars(select(AgentRow).where(AgentRow.team_id == collection.team_id))
    return [agent for agent in agents if agent.number in numbers or labels & set(agent.collection_label_set.split())]


def list_agents_with_label(session: Session, team_id: UUID, label: str) -> list[AgentRow]:
    """Return the team's machines that have a label which counts for collections."""
    agents = session.scalars(select(AgentRow).where(AgentRow.team_id == team_id))
    return [agent for agent in agents if has_all_labels(label, agent.collection_label_set)]


def decide_pins(entries: Iterable[SubscribedEntry]) -> dict[UUID, Pin]:
    """Return the pin of each model of the collections to which a machine is subscribed. Pure.

    Different versions in two pinned collections are a conflict, which names both.
    """
    pinned: dict[UUID, dict[int, str]] = {}
    for entry in entries:
        versions = pinned.setdefault(entry.model_id, {})
        if entry.is_pinned:
            versions.setdefault(entry.version, entry.collection_name)
    return {model_id: _build_pin(versions) for model_id, versions in pinned.items()}


def _build_pin(versions: Mapping[int, str]) -> Pin:
    """Return the pin for pinned versions, each with the name of a collection that has it."""
    if len(versions) <= 1:
        return Pin(next(iter(versions), None))
    named = [f"'{name}' pins version {version}" for version, name in sorted(versions.items())[:_MAX_NAMED]]
    return Pin(conflict=", ".join(named))


def _load_subscriptions(session: Session, team_id: UUID) -> _Subscriptions:
    """Return all subscriptions of a team."""
    columns = SubscriptionRow.label, SubscriptionRow.agent_number, SubscriptionRow.collection_id
    by_label, by_agent = defaultdict[str, list[UUID]](list), defaultdict[int, list[UUID]](list)
    for label, number, collection_id in session.execute(select(*columns).where(SubscriptionRow.team_id == team_id)):
        if label is not None:
            by_label[label].append(collection_id)
        elif number is not None:
            by_agent[number].append(collection_id)
    return _Subscriptions(by_label, by_agent)


def load_versions(session: Session, team_id: UUID, agents: Iterable[AgentRow]) -> dict[int, Versions]:
    """Return the versions of collections that each machine gets, by its number."""
    subscriptions = _load_subscriptions(session, team_id)
    ids = {agent: subscriptions.list_collections_of(agent) for agent in agents}
    parts = split_ids(sorted({*chain.from_iterable(ids.values())}))
    rows = (session.scalars(select(CollectionRow).where(CollectionRow.id.in_(part))) for part in parts)
    collections = {collection.id: collection for collection in chain.from_iterable(rows)}
    return {
        agent.number: tuple((each, collections[each].get_version_for(agent.collection_label_set)) for each in of_agent)
        for agent, of_agent in ids.items()
    }


def load_sizes(session: Session, versions: Mapping[int, Versions], most_rows: int) -> dict[int, int]:
    """Return at most how many assignments each machine has before it gets these versions, and after that, together.

    Of those before, at most so many are counted, in the order of the machines' numbers.
    """
    table, after = CollectionVersionRow, dict[tuple[UUID, int], int]()
    for part in split_ids(sorted({collection_id for each in versions.values() for collection_id, _ in each})):
        columns = table.collection_id, table.number, table.model_count
        is_rolled_out = table.number.in_([CollectionRow.rolled_out_version, CollectionRow.rollout_version])
        joined = select(*columns).join(CollectionRow, and_(CollectionRow.id == table.collection_id, is_rolled_out))
        rows = session.execute(joined.where(CollectionRow.id.in_(part)))
        after |= {(collection_id, number): count for collection_id, number, count in rows}
    before = count_assigned(session, [*versions], most_rows)
    return {
        number: before.get(number, 0) + sum(after.get(each, 0) for each in of_machine)
        for number, of_machine in versions.items()
    }


def load_entries(session: Session, collection_ids: Sequence[UUID]) -> dict[tuple[UUID, int], list[SubscribedEntry]]:
    """Return the entries of the versions of collections that machines get, by collection and version.

    Purged models are left out; entries whose version is purged are not pinned.
    """
    is_version = and_(
        ModelVersionRow.model_id == CollectionEntryRow.model_id,
        ModelVersionRow.number == CollectionEntryRow.model_version,
    )
    query = (
        select(
            *(CollectionRow.id, CollectionEntryRow.model_id, CollectionEntryRow.model_version, CollectionRow.name),
            *(CollectionRow.is_pinned, ModelVersionRow.number, CollectionEntryRow.number),
        )
        .join(CollectionRow, CollectionRow.id == CollectionEntryRow.collection_id)
        .join(ModelRow, ModelRow.id == CollectionEntryRow.model_id)
        .outerjoin(ModelVersionRow, is_version)
        .where(CollectionEntryRow.number.in_([CollectionRow.rolled_out_version, CollectionRow.rollout_version]))
    )
    result = defaultdict[tuple[UUID, int], list[SubscribedEntry]](list)
    for part in split_ids(collection_ids):
        rows = session.execute(query.where(CollectionRow.id.in_(part)))
        for collection_id, model_id, version, name, is_pinned, found, number in rows:
            entry = SubscribedEntry(model_id, version, name, is_pinned and found is not None)
            result[collection_id, number].append(entry)
    return result

"""Which models machines get by their subscriptions; kept in ``assignments`` by whatever changes that.

That is: a subscription, a new version of a collection or its end, a step of a roll-out, and the labels of a machine. A
new machine has no labels and no subscriptions at first. Called while the team's write lock is held, in the same
transaction.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.audit import operations as audit
from modelyard.server.collections.tables import CollectionEntryRow, CollectionRow, SubscriptionRow
from modelyard.server.database.session import split_ids
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.server.models.replicas.pins import Pin, build_pin_set
from modelyard.server.models.replicas.subscribed import apply_changes, decide_changes, load_assigned
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.teams.context import TeamContext

# Of more than so many versions, a conflict names the first.
_MAX_NAMED = 3


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
    """Record that the subscriptions of a machine itself end; it is about to be deleted, and they with it."""
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


def update_subscribed_models(session: Session, team_id: UUID, agents: Iterable[AgentRow]) -> None:
    """Update what machines get by subscription; delete the states of what they should not hold any more.

    If anything changes, the team gets a new revision.
    """
    session.flush()
    groups = _group_agents(agents, _load_subscriptions(session, team_id))
    collections = _load_collections(session, sorted({each for group in groups for each in group.collection_ids}))
    entries = _load_entries(session, [*collections])
    has_changed = False
    for group, members in groups.items():
        versions = [
            (each, collections[each].get_version_for(group.collection_label_set)) for each in group.collection_ids
        ]
        wanted = decide_pins(entry for each in versions for entry in entries.get(each, ()))
        pin_set = build_pin_set(wanted)
        for part in split_ids(members):
            changes = decide_changes(load_assigned(session, [agent.number for agent in part]), wanted, len(part))
            if not changes:
                continue
            has_changed = True
            apply_changes(session, part, changes)
            for agent in part:
                agent.pin_set = pin_set
    if has_changed:
        revisions.increment_revision(session, team_id)


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


class _Group(NamedTuple):
    """What machines have in common that get the same models and count in the same way."""

    label_set: str
    collection_label_set: str
    collection_ids: tuple[UUID, ...]


class _Subscriptions(NamedTuple):
    """The collections of a team that are subscribed, by label and by the number of a machine."""

    by_label: Mapping[str, Sequence[UUID]]
    by_agent: Mapping[int, Sequence[UUID]]


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


def _group_agents(agents: Iterable[AgentRow], subscriptions: _Subscriptions) -> dict[_Group, list[AgentRow]]:
    """Return the machines by their labels and by the collections to which they are subscribed. Pure."""
    groups = defaultdict[_Group, list[AgentRow]](list)
    for agent in agents:
        ids = {*subscriptions.by_agent.get(agent.number, ())}
        for label in agent.collection_label_set.split():
            ids.update(subscriptions.by_label.get(label, ()))
        # In an order, so that machines with the same collections have the same texts.
        groups[_Group(agent.label_set, agent.collection_label_set, tuple(sorted(ids)))].append(agent)
    return groups


def _load_collections(session: Session, ids: Sequence[UUID]) -> dict[UUID, CollectionRow]:
    """Return these collections by their id."""
    parts = (session.scalars(select(CollectionRow).where(CollectionRow.id.in_(part))) for part in split_ids(ids))
    return {collection.id: collection for part in parts for collection in part}


def _load_entries(session: Session, collection_ids: Sequence[UUID]) -> dict[tuple[UUID, int], list[SubscribedEntry]]:
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

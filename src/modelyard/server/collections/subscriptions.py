"""Operations on subscriptions: machines and labels that get the models of a collection."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.collections.due_machines import update_or_mark
from modelyard.server.collections.lookup import find_collection
from modelyard.server.collections.subscribed_models import list_agents_with_label
from modelyard.server.collections.tables import CollectionRow, SubscriptionRow
from modelyard.server.database.base import new_id
from modelyard.server.http.paging import Order, Page, list_page
from modelyard.server.http.params import parse_uuid
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems
from modelyard.wire.collections import NewSubscription, Subscription, SubscriptionList
from modelyard.wire.versions import Creator


@dataclass(frozen=True)
class Subscribed:
    """The id of a subscription, and whether this request made it."""

    id: UUID
    is_new: bool


def parse_subscription_id(text: str) -> UUID:
    """Return the subscription id of a request path.

    Raises:
        SubscriptionNotFound: it is not a UUID, so no subscription has it.
    """
    return parse_uuid(text, _build_not_found())


def _build_not_found() -> problems.SubscriptionNotFound:
    """Build the problem for a subscription that the collection does not have."""
    return problems.SubscriptionNotFound("The collection has no such subscription.")


def list_subscriptions(session: Session, team: TeamContext, collection_id: UUID, page: Page) -> SubscriptionList:
    """Return one page of a collection's subscriptions, oldest first.

    Raises:
        CollectionNotFound: see ``find_collection``.
    """
    collection = find_collection(session, team, collection_id)
    query = (
        select(SubscriptionRow, AgentRow.agent_id)
        .outerjoin(AgentRow, AgentRow.number == SubscriptionRow.agent_number)
        .where(SubscriptionRow.collection_id == collection.id)
    )
    rows, meta = list_page(session, query, page, Order((SubscriptionRow.id,)))
    return SubscriptionList(subscription_list=[_build_subscription(row[0], row[1]) for row in rows], page_meta=meta)


def _build_subscription(row: SubscriptionRow, agent_id: str | None) -> Subscription:
    """Return the API's representation of a subscription of this machine, or of a label."""
    return Subscription(
        id=row.id,
        label=row.label,
        agent_id=agent_id,
        created_by=Creator(kind=row.creator_kind, id=row.creator_id, display_name=row.creator_name),
        created_at=row.created_at,
    )


def subscribe(session: Session, team: TeamContext, collection_id: UUID, new: NewSubscription) -> Subscribed:
    """Subscribe a label or a machine to a collection; one that is subscribed already stays so.

    Raises:
        CollectionNotFound: see ``find_collection``.
        InvalidRequest: not exactly one of both is given, or the team has no such machine.
    """
    collection = find_collection(session, team, collection_id)
    agent = _find_agent(session, team, new)
    is_same = SubscriptionRow.label == new.label if agent is None else SubscriptionRow.agent_number == agent.number
    present = session.scalar(select(SubscriptionRow.id).where(SubscriptionRow.collection_id == collection.id, is_same))
    if present is not None:
        return Subscribed(present, is_new=False)
    creator = team.creator
    row = SubscriptionRow(
        id=new_id(),
        team_id=team.team_id,
        collection_id=collection.id,
        label=new.label,
        agent_number=None if agent is None else agent.number,
        creator_kind=creator.kind,
        creator_id=creator.id,
        creator_name=creator.name,
    )
    session.add(row)
    _record(session, team, "collection.subscribed", collection, row)
    return Subscribed(row.id, is_new=True)


def _find_agent(session: Session, team: TeamContext, new: NewSubscription) -> AgentRow | None:
    """Return the machine that a request subscribes; None if it subscribes a label.

    Raises:
        InvalidRequest: see ``subscribe``.
    """
    if (new.label is None) == (new.agent_id is None):
        raise problems.InvalidRequest.for_field("label", "Give either 'label' or 'agent_id'")
    if new.agent_id is None:
        return None
    is_named = AgentRow.team_id == team.team_id, AgentRow.agent_id == new.agent_id
    agent = session.scalar(select(AgentRow).where(*is_named))
    if agent is None:
        raise problems.InvalidRequest.for_field("agent_id", "The team has no such machine")
    return agent


def unsubscribe(session: Session, team: TeamContext, collection_id: UUID, subscription_id: UUID) -> None:
    """Delete a subscription, and record that: machines lose the models that only it gave them.

    Raises:
        CollectionNotFound: see ``find_collection``.
        SubscriptionNotFound: the collection has no such subscription.
    """
    collection = find_collection(session, team, collection_id)
    row = session.get(SubscriptionRow, subscription_id)
    if row is None or row.collection_id != collection.id:
        raise _build_not_found()
    session.delete(row)
    _record(session, team, "collection.unsubscribed", collection, row)


def _record(session: Session, team: TeamContext, action: str, collection: CollectionRow, row: SubscriptionRow) -> None:
    """Record a change of a subscription in the audit log, and update the machines that it concerns."""
    if row.label is not None:
        agents, of = list_agents_with_label(session, team.team_id, row.label), {"label": row.label}
    else:
        agent = session.get_one(AgentRow, row.agent_number)
        agents, of = [agent], {"agent_id": agent.agent_id}
    update_or_mark(session, agents)
    facts = {"name": collection.name} | of
    audit.record(session, team.actor, team.team_id, action, collection.id, **facts)

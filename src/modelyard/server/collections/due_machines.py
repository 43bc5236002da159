"""Machines whose models follow a change of collections in transactions of a limited size, between which others write.

The transaction of the change updates as many machines as fit, and marks the others as due. A machine that is due has
all assignments from before the change, and then all from after it. The request updates the due machines before it is
answered; if it cannot, the next change of the team does, or a job.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from modelyard.server.collections.machine_updates import MostRows, update_first_machines
from modelyard.server.database.job_run import JobRun
from modelyard.server.database.session import IDS_AT_ONCE, Database
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.wire.problems import StorageFull, Unavailable

# Meanwhile the team's other writers wait, on SQLite those of all teams. Reading a row costs a fraction of writing it.
ROWS_PER_TRANSACTION = 20_000
_MOST_ROWS = MostRows(read=5 * ROWS_PER_TRANSACTION, written=ROWS_PER_TRANSACTION)
_HAS_DUE = "has_due_machines"
log = logging.getLogger("modelyard.collections")


@contextmanager
def writing_changes(database: Database, team_id: UUID) -> Iterator[Session]:
    """Open a transaction of a change of collections, see ``Database.writing``, and then update the machines it left.

    The change is committed before: if the database refuses the rest, the machines are left to the job.
    """
    with database.writing(team_id) as session:
        yield session
    try:
        while session.info.get(_HAS_DUE):
            with database.writing(team_id) as session:
                update_or_mark(session, team_id)
    except (Unavailable, StorageFull) as problem:
        facts = {"team": str(team_id), "why": problem.detail}
        log.warning("a change of collections left machines to the job", extra=facts)


def update_or_mark(session: Session, team_id: UUID, changed: Iterable[AgentRow] = ()) -> bool:
    """Update what these machines and those that are due get by subscription, as many as one transaction should.

    The others are due then. Called while the team's write lock is held; returns whether machines are due.
    """
    is_due = AgentRow.team_id == team_id, AgentRow.subscriptions_due
    due = session.scalars(select(AgentRow).where(*is_due).order_by(AgentRow.number).limit(IDS_AT_ONCE)).all()
    agents = {agent.number: agent for agent in (*due, *changed)}
    ordered = [agents[number] for number in sorted(agents)]
    rest = update_first_machines(session, ordered, _MOST_ROWS)
    for agent in rest:
        agent.subscriptions_due = True
    has_due = bool(rest) or len(due) == IDS_AT_ONCE
    session.info[_HAS_DUE] = has_due
    return has_due


def has_due_machines(session: Session, team_id: UUID | None = None) -> bool:
    """Return whether any machine is due, of one team or of all."""
    due = select(AgentRow.number).where(AgentRow.subscriptions_due)
    of_team = due if team_id is None else due.where(AgentRow.team_id == team_id)
    return session.scalar(of_team.limit(1)) is not None


def update_due_machines(run: JobRun) -> None:
    """Update all machines that are due. A team that cannot be written is left to the next run."""
    due = select(AgentRow.number, AgentRow.team_id).where(AgentRow.subscriptions_due)
    for page in run.iterate_pages(due, AgentRow.number):
        run.call_for_teams(page, partial(_update_due_machines_of, run))


def _update_due_machines_of(run: JobRun, team_id: UUID, _page: Sequence[Row[Any]]) -> None:
    """Update all machines of a team that are due."""
    has_due = True
    while has_due:
        run.check_may_continue()
        with run.writing(team_id) as session:
            has_due = update_or_mark(session, team_id)

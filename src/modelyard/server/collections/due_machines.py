"""Machines whose models follow a change of collections in transactions of a limited size, between which others write.

The transaction of the change updates as many of its machines as fit, and marks the others as due. A machine that is due
has all assignments from before the change, and then all from after it. The request updates the due machines before it
is answered; if it cannot, the next change of the team does, or a job.
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
log = logging.getLogger("modelyard.collections")


@contextmanager
def writing_changes(database: Database, team_id: UUID) -> Iterator[Session]:
    """Open a transaction of a change of collections, see ``Database.writing``, and then update the machines it left.

    The change is committed before, so it is accepted whatever happens then.
    """
    with database.writing(team_id) as session:
        yield session
    try_to_update_due_machines(database, team_id)


def try_to_update_due_machines(database: Database, team_id: UUID) -> None:
    """Update all machines of a team that are due. If that fails, it is logged, and they are left to the job."""
    message, facts = "a change of collections left machines to the job", {"team": str(team_id)}
    try:
        while _has_due_machines(database, team_id):
            with database.writing(team_id) as session:
                _update_first_due_machines(session, team_id)
    except (Unavailable, StorageFull) as problem:
        log.warning(message, extra=facts | {"why": problem.detail})
    except Exception:  # a machine that cannot be updated must not keep the team from changing its collections
        log.exception(message, extra=facts)


def update_or_mark(session: Session, agents: Iterable[AgentRow]) -> None:
    """Update what machines of a team get by subscription, as many as one transaction should; the others are due then.

    Called while the team's write lock is held.
    """
    ordered = sorted(agents, key=lambda agent: agent.number)
    for agent in update_first_machines(session, ordered, _MOST_ROWS):
        agent.subscriptions_due = True


def _update_first_due_machines(session: Session, team_id: UUID) -> None:
    """Update as many of a team's due machines as one transaction should; the others stay due."""
    is_due = AgentRow.team_id == team_id, AgentRow.subscriptions_due
    due = session.scalars(select(AgentRow).where(*is_due).order_by(AgentRow.number).limit(IDS_AT_ONCE)).all()
    update_first_machines(session, due, _MOST_ROWS)


def _has_due_machines(database: Database, team_id: UUID) -> bool:
    """Return whether any machine of a team is due, read in a transaction of its own."""
    with database.reading() as session:
        return has_due_machines(session, team_id)


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
    while _has_due_machines(run.database, team_id):
        run.check_may_continue()
        with run.writing(team_id) as session:
            _update_first_due_machines(session, team_id)

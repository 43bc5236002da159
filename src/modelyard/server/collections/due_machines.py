"""Machines whose models follow a change of collections in transactions of a limited size, between which others write.

The transaction of the change updates as many of its machines as fit, and marks the others as due. A machine that is due
has all assignments from before the change, and then all from after it. The request updates the due machines before it
is answered; if it cannot, the next change of the team does, or a job. A machine whose update raises stays due, and
keeps neither the change nor other machines from theirs.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from modelyard.server.collections.machine_updates import MostRows, update_first_machines
from modelyard.server.database.failures import translate_failures
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
    """Open a transaction that changes collections, and afterwards update the machines that it left due.

    See ``Database.writing``. The change is committed before these updates, whose failures are only logged.
    """
    with database.writing(team_id) as session:
        yield session
    try_to_update_due_machines(database, team_id)


def try_to_update_due_machines(database: Database, team_id: UUID) -> None:
    """Update all machines of a team that are due. Those that cannot be updated are logged, and left to the job."""
    message, facts = "a change of collections left machines to the job", {"team": str(team_id)}
    try:
        _update_due_machines(database, database.writing, team_id)
    except (Unavailable, StorageFull) as problem:
        log.warning(message, extra=facts | {"why": problem.detail})
    except Exception:  # the change is committed, so it is accepted
        log.exception(message, extra=facts)


def update_or_mark(session: Session, agents: Iterable[AgentRow]) -> None:
    """Update what machines of a team get by subscription, as many as one transaction should; the others are due then.

    If that raises, all of them are due, and the change can be committed. Called while the team's write lock is held.

    Raises:
        Unavailable, StorageFull: the database failed.
    """
    ordered = sorted(agents, key=lambda agent: agent.number)
    facts = {"team": str(ordered[0].team_id) if ordered else None, "machines": len(ordered)}
    # What is wrong with the change itself is not caught.
    session.flush()
    try:
        with translate_failures(), session.begin_nested():
            left = update_first_machines(session, ordered, _MOST_ROWS)
    except (Unavailable, StorageFull):
        raise
    except Exception:  # the change may be what lets the machines be updated again
        log.exception("a change of collections left its machines due", extra=facts)
        left = ordered
    for agent in left:
        agent.subscriptions_due = True


def _update_due_machines(
    database: Database,
    writing: Callable[[UUID], AbstractContextManager[Session]],
    team_id: UUID,
    check_may_continue: Callable[[], object] = lambda: None,
) -> bool:
    """Update all machines of a team that are due; return whether all could be updated.

    After an error, each machine has a transaction of its own; those that raise are logged and stay due.
    """
    after, at_once, is_complete = 0, IDS_AT_ONCE, True
    while due := _list_due_machines(database, team_id, after, at_once):
        check_may_continue()
        try:
            with writing(team_id) as session:
                _update_first_machines(session, [number for number, _ in due])
        except (Unavailable, StorageFull):
            raise
        except Exception:  # whatever is wrong with one machine must not keep the others from their models
            if at_once == 1:
                [(after, agent_id)] = due
                is_complete = False
                log.exception("a machine could not be updated", extra={"team": str(team_id), "machine": agent_id})
            at_once = 1
    return is_complete


def _list_due_machines(database: Database, team_id: UUID, after: int, most: int) -> Sequence[tuple[int, str]]:
    """Return the numbers and ids of a team's first due machines after a number, read in a transaction of its own."""
    is_due = AgentRow.team_id == team_id, AgentRow.subscriptions_due, AgentRow.number > after
    due = select(AgentRow.number, AgentRow.agent_id).where(*is_due).order_by(AgentRow.number).limit(most)
    with database.reading() as session:
        return [(number, agent_id) for number, agent_id in session.execute(due)]


def _update_first_machines(session: Session, numbers: Sequence[int]) -> None:
    """Update as many of these machines as one transaction should, of those that are still due; the others stay due."""
    is_due = AgentRow.number.in_(numbers), AgentRow.subscriptions_due
    due = session.scalars(select(AgentRow).where(*is_due).order_by(AgentRow.number)).all()
    update_first_machines(session, due, _MOST_ROWS)


def has_due_machines(session: Session, team_id: UUID | None = None) -> bool:
    """Return whether any machine is due, of one team or of all."""
    due = select(AgentRow.number).where(AgentRow.subscriptions_due)
    of_team = due if team_id is None else due.where(AgentRow.team_id == team_id)
    return session.scalar(of_team.limit(1)) is not None


def update_due_machines(run: JobRun) -> None:
    """Update all machines that are due. What cannot be updated is left to the next run."""
    due = select(AgentRow.number, AgentRow.team_id).where(AgentRow.subscriptions_due)
    for page in run.iterate_pages(due, AgentRow.number):
        run.call_for_teams(page, partial(_update_due_machines_of, run))


def _update_due_machines_of(run: JobRun, team_id: UUID, _page: Sequence[Row[Any]]) -> None:
    """Update all machines of a team that are due; the team has failed if one of them cannot be updated."""
    if not _update_due_machines(run.database, run.writing, team_id, run.check_may_continue):
        run.failed_teams.add(team_id)
